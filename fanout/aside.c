#include "aside.h"

#include <pthread.h>
#include <stdlib.h>

#include "proto/ground/log.h"
#include "proto/ground/mem.h"

struct mr_aside {
	struct mr_loop *loop;
	pthread_t thread;
};

struct job {
	struct mr_loop *home;
	mr_call_cb *work, *done;
	void *arg;
};

static void *serve(void *arg)
{
	mr_loop_run(((struct mr_aside *)arg)->loop);
	return NULL;
}

struct mr_aside *mr_aside_new(void)
{
	struct mr_aside *a = mr_alloc(sizeof *a);
	a->loop = mr_loop_new();
	if (pthread_create(&a->thread, NULL, serve, a) != 0)
		mr_die("the thread for what takes long cannot be started");
	pthread_setname_np(a->thread, "fanout-aside");
	return a;
}

static void stop(void *arg)
{
	mr_loop_stop(arg);
}

void mr_aside_delete(struct mr_aside **aside)
{
	struct mr_aside *a = *aside;
	*aside = NULL;
	if (!a)
		return;
	mr_loop_post(a->loop, stop, a->loop);
	pthread_join(a->thread, NULL);
	mr_loop_delete(&a->loop);
	free(a);
}

static void on_job(void *arg)
{
	struct job *j = arg;
	j->work(j->arg);
	mr_loop_post(j->home, j->done, j->arg);
	free(j);
}

void mr_aside_do(struct mr_aside *a, struct mr_loop *loop, mr_call_cb *work, mr_call_cb *done, void *arg)
{
	if (!a) {
		work(arg);
		done(arg);
		return;
	}
	struct job *j = mr_alloc(sizeof *j);
	*j = (struct job){loop, work, done, arg};
	mr_loop_post(a->loop, on_job, j);
}
