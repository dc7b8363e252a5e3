#include "switch.h"

#include <stdlib.h>

#include "clock.h"
#include "revoked.h"
#include "session.h"

struct change {
	struct mr_fanout *f;
	struct mr_app *app;
	char *dir;
	mr_call_cb *done;
	void *arg;
};

static void *make_change(struct mr_fanout *f, const void *from)
{
	struct change *c = mr_alloc(sizeof *c);
	*c = *(const struct change *)from;
	c->f = f;
	c->app = mr_app_hold(c->app);
	c->dir = mr_strdup(c->dir);
	return c;
}

static void let_go(struct change *c)
{
	mr_app_drop(&c->app);
	free(c->dir);
	free(c);
}

static void serve(void *arg)
{
	struct change *c = arg;
	struct mr_fanout *f = c->f;
	if (f->stopping) {
		let_go(c);
		return;
	}
	struct mr_app *old = f->app;
	f->app = c->app;
	free(f->app_dir);
	f->app_dir = c->dir;
	mr_resumes_spoil(f->sessions);
	mr_clock_app(f->clock);
	mr_sessions_reattach_all(f->sessions);
	mr_app_drop(&old);
	mr_revoked_reread(f->revoked); /* no tick was told to this thread while no app served */
	mr_loop_call(f->hub->loop, c->done, c->arg);
	mr_sessions_do_early(f->sessions);
	mr_sessions_advance(f->sessions);
	free(c);
}

/* Nothing serves before it is known whose sessions are revoked. */
static void on_change(void *arg)
{
	struct change *c = arg;
	mr_revoked_await(c->f->revoked, c->app, serve, c);
}

void mr_switch_all(struct mr_hub *hub, const char *dir, mr_call_cb *done, void *arg)
{
	struct change c = {.app = hub->app, .dir = (char *)dir, .done = done, .arg = arg};
	mr_hub_each(hub, on_change, make_change, &c);
}
