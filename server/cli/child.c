#include "child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "proto/ground/fault.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum {
	PAUSE_LEAST_US = 50000,
	PAUSE_MOST_US = 5000000,
	LONG_LIFE_US = 10000000,
	POLL_NS = 2000000,
};

struct mr_child {
	struct mr_list in_all;
	struct mr_children *cs;
	char *name;
	struct mr_args_copy {
		char **v;
		size_t n;
	} args;
	mr_child_cb *ended;
	mr_child_start_cb *started;
	void *arg;
	struct mr_timer *again;
	pid_t pid;
	int64_t born, pause_us;
	int failures;
	bool retired;
};

void mr_children_init(struct mr_children *cs, struct mr_loop *loop)
{
	cs->loop = loop;
	mr_list_init(&cs->all);
}

static void start_again(void *arg)
{
	mr_child_start(arg);
}

struct mr_child *mr_child_new(struct mr_children *cs, const char *name, const char *const *argv, mr_child_cb *ended, void *arg)
{
	struct mr_child *c = mr_alloc(sizeof *c);
	c->cs = cs;
	c->name = mr_strdup(name);
	while (argv[c->args.n])
		c->args.n++;
	c->args.v = mr_alloc((c->args.n + 1) * sizeof *c->args.v);
	for (size_t i = 0; i < c->args.n; i++)
		c->args.v[i] = mr_strdup(argv[i]);
	c->ended = ended;
	c->arg = arg;
	c->pause_us = PAUSE_LEAST_US;
	c->again = mr_timer_new(cs->loop, start_again, c);
	mr_list_add_tail(&cs->all, &c->in_all);
	return c;
}

void mr_child_on_start(struct mr_child *c, mr_child_start_cb *started)
{
	c->started = started;
}

void mr_child_delete(struct mr_child **cp)
{
	struct mr_child *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	MR_ASSERT(!c->pid);
	mr_timer_delete(&c->again);
	mr_list_del(&c->in_all);
	for (size_t i = 0; i < c->args.n; i++)
		free(c->args.v[i]);
	free(c->args.v);
	free(c->name);
	free(c);
}

/* Between half and all of the pause, so that many do not come back in one moment. */
static int64_t jitter(int64_t us)
{
	uint32_t r;
	mr_random(&r, sizeof r);
	return us / 2 + (int64_t)(r % (uint32_t)(us / 2 + 1));
}

static int64_t plan_restart(struct mr_child *c)
{
	int64_t pause = jitter(c->pause_us);
	c->pause_us = c->pause_us * 2 > PAUSE_MOST_US ? PAUSE_MOST_US : c->pause_us * 2;
	mr_timer_start(c->again, pause);
	return pause;
}

void mr_child_start(struct mr_child *c)
{
	struct mr_error err;
	struct mr_spawn s = {.argv = (const char *const *)c->args.v, .out = -1, .err = -1};
	if (c->retired || c->pid)
		return;
	pid_t pid = mr_spawn(&s, &err);
	if (pid < 0) {
		mr_log(MR_ERROR, "%s cannot be started: %s", c->name, err.message);
		c->failures++;
		plan_restart(c);
		return;
	}
	c->pid = pid;
	if (c->failures)
		MR_FAULT(SUPERVISOR_STARTED);
	c->born = mr_mono_us();
	mr_log(MR_DEBUG, "%s started as process %d", c->name, (int)pid);
	if (c->started)
		c->started(c, c->arg);
}

static void told_end(struct mr_child *c, int status)
{
	struct mr_buf words = {0};
	int64_t lived = mr_mono_us() - c->born;
	c->pid = 0;
	MR_FAULT(SUPERVISOR_DEATH_SEEN);
	mr_exit_words(status, &words);
	/* Who ends in peace had no reason of its own: a worker whose fanout died comes back with the fanout. */
	if (lived >= LONG_LIFE_US || status == 0) {
		c->pause_us = PAUSE_LEAST_US;
		c->failures = 0;
	}
	if (c->retired) {
		mr_log(MR_DEBUG, "%s ended (%s)", c->name, words.p);
	} else {
		c->failures++;
		int64_t pause = plan_restart(c);
		mr_log(MR_WARN, "%s ended after %.1f s (%s); it starts again in %.2f s", c->name, (double)lived / 1e6, words.p,
			(double)pause / 1e6);
	}
	mr_buf_fini(&words);
	if (c->ended)
		c->ended(c, status, !c->retired, c->arg);
}

void mr_children_reap(struct mr_children *cs)
{
	/* A callback may delete any child, so the walk begins anew after each end. */
	bool more = true;
	while (more) {
		more = false;
		MR_LIST_FOR (e, &cs->all) {
			struct mr_child *c = MR_CONTAINER(e, struct mr_child, in_all);
			int status;
			if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid) {
				told_end(c, status);
				more = true;
				break;
			}
		}
	}
}

void mr_child_retire(struct mr_child *c, int sig)
{
	c->retired = true;
	mr_timer_stop(c->again);
	if (c->pid && sig)
		kill(c->pid, sig);
}

pid_t mr_child_pid(const struct mr_child *c)
{
	return c->pid;
}

int mr_child_failures(const struct mr_child *c)
{
	return c->failures;
}

/* Signals those whose name begins with prefix; returns how many are still there. */
static int signal_some(struct mr_children *cs, const char *prefix, int sig)
{
	int left = 0;
	MR_LIST_FOR (e, &cs->all) {
		struct mr_child *c = MR_CONTAINER(e, struct mr_child, in_all);
		if (prefix && strncmp(c->name, prefix, strlen(prefix)) != 0)
			continue;
		c->retired = true;
		mr_timer_stop(c->again);
		if (!c->pid)
			continue;
		if (sig)
			kill(sig == SIGKILL ? -c->pid : c->pid, sig);
		left++;
	}
	return left;
}

void mr_children_end(struct mr_children *cs, const char *prefix, int sig, int timeout_ms)
{
	int64_t deadline = mr_mono_us() + (int64_t)timeout_ms * 1000;
	int left = signal_some(cs, prefix, sig);
	bool killed = false;
	while (left) {
		if (!killed && mr_mono_us() >= deadline) {
			signal_some(cs, prefix, SIGKILL);
			killed = true;
		}
		nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
		mr_children_reap(cs);
		left = signal_some(cs, prefix, 0);
	}
}
