/* Sessions advance: which tick a session can go to, and when. What it is told on the way: session_tell.h. */
#include "clock.h"
#include "live.h"
#include "proto/ground/fault.h"
#include "session.h"
#include "session_tell.h"
#include "share.h"
#include "transition.h"
#include "work.h"

enum {
	POSITION_STALE_US = 10 * 1000 * 1000, /* a session that seldom gets anything gets a position with it */
	ALIGN_AFTER_US = 100 * 1000,
};

void mr_session_lag(struct mr_session *s, bool lags)
{
	if (lags == mr_list_linked(&s->in_lagging))
		return;
	if (lags)
		mr_list_add_tail(&s->all->lagging, &s->in_lagging);
	else
		mr_list_del(&s->in_lagging);
	if (s->ws)
		mr_ws_want_drained(s->ws, lags);
}

/* The latest tick at which everything shown is known; where the session is, when there is none after that. */
static uint64_t find_target(const struct mr_session *s, uint64_t now)
{
	uint64_t n = now;
	for (bool again = s->n_held; again;) {
		again = false;
		MR_LIST_FOR (e, &s->shown) {
			const struct mr_sub *sub = mr_sub_of(e);
			uint64_t bound = mr_instance_bound(sub->inst, n);
			again |= bound < n;
			n = bound;
			if (n <= s->at || !mr_tell_arrived(sub, n))
				return s->at;
		}
	}
	return n;
}

static void set_aligning(struct mr_session *s, bool on)
{
	if (s->aligning == on)
		return;
	s->aligning = on;
	MR_LIST_FOR (e, &s->shown)
		mr_sub_of(e)->inst->aligning += on ? 1 : -1;
	MR_LIST_FOR (e, &s->waiting)
		mr_sub_of(e)->inst->aligning += on ? 1 : -1;
}

/* Those that wait for alignment and have a query under way. */
void mr_sessions_busy(const struct mr_clock *clock, bool busy)
{
	MR_LIST_FOR (e, &clock->works) {
		const struct mr_instance *inst = mr_work_of(e);
		for (size_t i = 0; inst->aligning && i < inst->n_subs; i++)
			mr_instance_subs(inst)[i]->session->busy = busy && mr_instance_subs(inst)[i]->session->aligning;
	}
}

bool mr_sessions_misaligned(const struct mr_instance *inst)
{
	for (size_t i = 0; i < inst->n_subs; i++)
		if (mr_instance_subs(inst)[i]->session->busy)
			return true;
	return false;
}

/* Queries that hold the session too long go on by themselves, marked behind. */
static bool detach_slow(struct mr_session *s, struct mr_transition *t)
{
	int64_t now = mr_mono_us(), hold = s->all->f->settings.reactive_max_hold * 1000;
	if (!s->blocked_since) {
		s->blocked_since = now;
		return false;
	}
	if (now - s->blocked_since > ALIGN_AFTER_US)
		set_aligning(s, true);
	if (now - s->blocked_since < hold)
		return false;
	return mr_tell_detached(s, t);
}

/* A position vouches for everything the client holds: none is given while rows from before wait for their answer, or a query is behind. */
static bool holds_stale_rows(const struct mr_session *s)
{
	if (s->queue)
		return true;
	MR_LIST_FOR (e, &s->waiting)
		if (mr_sub_of(e)->state == MR_SUB_BEHIND || mr_sub_of(e)->have)
			return true;
	return false;
}

static bool wants_position(struct mr_session *s, const struct mr_transition *t)
{
	struct mr_clock *clock = s->all->f->clock;
	int64_t now = clock->last_tick_us;
	if (!s->positions && !clock->carries_position && s->position_us && now - s->position_us < POSITION_STALE_US)
		return false;
	if (holds_stale_rows(s) || !mr_clock_position(clock, t->n).n)
		return false;
	s->position_us = now;
	return true;
}

static size_t pending_bytes(const struct mr_session *s)
{
	return s->ws ? mr_ws_pending(s->ws) : mr_live_pending(s->live);
}

/* A client that reads too slowly gets nothing until it has read; then one transition to where we are. */
static bool is_stalled(struct mr_session *s)
{
	bool full = pending_bytes(s) > (size_t)s->all->f->settings.send_buffer;
	mr_session_set_stalled(s, full);
	if (full)
		mr_session_lag(s, true);
	return full;
}

void mr_session_has_read(struct mr_session *s)
{
	if (!s->stalled || !is_stalled(s))
		mr_session_look(s);
}

void mr_session_advance(struct mr_session *s)
{
	const struct mr_clock *clock = s->all->f->clock;
	if (!clock->n || is_stalled(s))
		return;
	struct mr_transition t = {.n = find_target(s, clock->n), .serial = ++s->all->last_serial};
	bool blocked = t.n < clock->n;
	if (!blocked) {
		s->blocked_since = 0;
		set_aligning(s, false);
	} else if (t.n == s->at && detach_slow(s, &t)) {
		t.n = find_target(s, clock->n);
	}
	mr_tell_shown(s, &t);
	mr_tell_new(s, &t);
	mr_tell_replies(s, &t);
	s->at = t.n;
	mr_session_lag(s, blocked || s->n_waiting || s->queue);
	if (t.n_acks || t.n_bodies || t.n_replies)
		mr_transition_send(&t, s, wants_position(s, &t));
	MR_FAULT(FANOUT_SESSION_ADVANCED);
	if (t.again)
		mr_session_look(s);
	mr_queue_feed(s);
	mr_transition_fini(&t);
}
