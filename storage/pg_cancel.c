/* Cancelling by a second connection: asynchronous, encrypted as the first one is, and it works through session poolers. */
#include <stdio.h>
#include <stdlib.h>

#include "pg_private.h"
#include "proto/ground/log.h"

/* Holds a reference to its target, which may be deleted meanwhile. */
struct cancel {
	struct mr_pg *target, *own;
	uint64_t answered;
	bool stops; /* the target waits for it */
	bool sent;
};

static void finish(void *arg)
{
	struct cancel *c = arg;
	mr_pg_delete(&c->own);
	c->target->cancels -= c->sent;
	mr_pg_maybe_settled(c->target);
	if (c->stops && c->target->state == MR_PG_READY)
		mr_pg_stopped(c->target);
	mr_pg_unref(c->target);
	free(c);
}

static void on_cancelled(const struct mr_pg_result *r, void *arg)
{
	struct cancel *c = arg;
	if (mr_pg_ok(r) || mr_pg_state(c->own) != MR_PG_DEAD)
		mr_defer(c->own->loop, finish, c); /* else the state callback ends it */
}

static bool still_runs(const struct cancel *c)
{
	return c->target->state == MR_PG_READY && c->target->outstanding && !c->target->held && c->target->answered == c->answered;
}

static void on_state(struct mr_pg *pg, enum mr_pg_state state, const struct mr_error *err, void *arg)
{
	struct cancel *c = arg;
	if (state == MR_PG_DEAD) {
		mr_log(MR_WARN, "%s: cannot cancel a statement: %s", c->target->name, err->message);
		finish(c);
		return;
	}
	if (!still_runs(c)) {
		mr_defer(pg->loop, finish, c);
		return;
	}
	c->sent = true;
	c->target->cancels++;
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", c->target->backend);
	struct mr_str param = mr_str(pid);
	mr_pg_query(pg, MR_PG_ONCE, "select pg_cancel_backend($1::int)", 1, &param, on_cancelled, c);
	mr_pg_sync(pg);
}

static struct cancel *cancel(struct mr_pg *pg)
{
	struct cancel *c = mr_alloc(sizeof(*c));
	c->target = pg;
	pg->refs++;
	c->answered = pg->answered;
	c->own = mr_pg_open(pg->loop, pg->conninfo, "cancel", on_state, c);
	return c;
}

void mr_pg_cancel(struct mr_pg *pg)
{
	if (pg->state == MR_PG_READY && pg->outstanding)
		cancel(pg);
}

void mr_pg_stop(struct mr_pg *pg)
{
	MR_ASSERT(pg->state == MR_PG_READY && pg->outstanding && !pg->stopping);
	pg->stopping = true;
	cancel(pg)->stops = true;
}
