#include "aside.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>

#include "proto/ground/log.h"
#include "proto/ground/mem.h"

struct mr_aside {
	struct mr_loop *loop;
	pthread_t thread;
	sem_t apart;
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

/* Its descriptors are a copy of those that are open by now, not shared with the process. */
static void *serve_apart(void *arg)
{
	struct mr_aside *a = arg;
	unshare(CLONE_FILES); /* where it is not allowed everything is a little slower */
	sem_post(&a->apart);
	return serve(a);
}

struct mr_aside *mr_aside_new(bool apart)
{
	struct mr_aside *a = mr_alloc(sizeof *a);
	a->loop = mr_loop_new();
	sem_init(&a->apart, 0, 0);
	if (pthread_create(&a->thread, NULL, apart ? serve_apart : serve, a) != 0)
		mr_die("the thread for what takes long cannot be started");
	pthread_setname_np(a->thread, "fanout-aside");
	while (apart && sem_wait(&a->apart) != 0)
		;
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
	sem_destroy(&a->apart);
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
