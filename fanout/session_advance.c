/* Sessions advance: which tick a session can go to, and the transition that takes it there. */
#include <stdio.h>
#include <stdlib.h>

#include "catalog.h"
#include "clock.h"
#include "instance_sets.h"
#include "live.h"
#include "proto/ground/fault.h"
#include "proto/ground/log.h"
#include "session.h"
#include "share.h"
#include "transition.h"
#include "whole.h"
#include "work.h"

enum {
	POSITION_STALE_US = 10 * 1000 * 1000, /* a session that seldom gets anything gets a position with it */
	ALIGN_AFTER_US = 100 * 1000,
	BODIES_FREE = 16 << 10, /* so many bytes of differences are not worth a thought */
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

static struct mr_sub *sub_of(struct mr_list *e)
{
	return MR_CONTAINER(e, struct mr_sub, in_session);
}

/* One that moves is told all that its instance is, which is known as of its last change only. */
static bool has_arrived(const struct mr_sub *sub, uint64_t n)
{
	return sub->state != MR_SUB_MOVING || (n >= sub->at && sub->inst->last <= n && mr_instance_bound(sub->inst, n) == n);
}

/* The latest tick at which everything shown is known; where the session is, when there is none after that. */
static uint64_t find_target(const struct mr_session *s, uint64_t now)
{
	uint64_t n = now;
	for (bool again = s->n_held; again;) {
		again = false;
		MR_LIST_FOR (e, &s->shown) {
			const struct mr_sub *sub = sub_of(e);
			uint64_t bound = mr_instance_bound(sub->inst, n);
			again |= bound < n;
			n = bound;
			if (n <= s->at || !has_arrived(sub, n))
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
		sub_of(e)->inst->aligning += on ? 1 : -1;
	MR_LIST_FOR (e, &s->waiting)
		sub_of(e)->inst->aligning += on ? 1 : -1;
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

static void add_behind(struct mr_transition *t, struct mr_sub *sub, bool behind)
{
	mr_body_behind(mr_transition_own(t), sub->session->encoding, sub->inst->number, behind);
	mr_transition_own_done(t);
}

/* What an instance's part was in a transition. */
enum { SPOKE = 1, DETACHED = 2, IS_BEHIND = 4, FOLLOWS = 8, WHOLE = 16, MUST_WAIT = 32, PARTS_SHIFT = 6 };

static bool had_part(const struct mr_transition *t, const struct mr_instance *inst, unsigned part)
{
	return inst->said_in >> PARTS_SHIFT == t->serial && (inst->said_in & part);
}

static void note_part(const struct mr_transition *t, struct mr_instance *inst, unsigned part)
{
	if (inst->said_in >> PARTS_SHIFT != t->serial)
		inst->said_in = t->serial << PARTS_SHIFT;
	inst->said_in |= part;
}

/* Where a walk goes on that has done with e: it may have gone to another list, and some behind it, but none before it. */
static struct mr_list *after(const struct mr_list *before, const struct mr_list *e)
{
	return before->next == e ? e->next : before->next;
}

/* Bodies name the instance, and a client applies them to every query that shares it. So those of one session that share an instance are
 * behind together, at the same tick, and come back together: detached_with moves the others. */
static void detach(struct mr_transition *t, struct mr_sub *sub)
{
	if (!had_part(t, sub->inst, DETACHED))
		add_behind(t, sub, true);
	note_part(t, sub->inst, DETACHED);
	mr_sub_state(sub, MR_SUB_BEHIND);
}

static bool shows_too(const struct mr_session *s, uint64_t number)
{
	MR_LIST_FOR (e, &s->shown)
		if (sub_of(e)->state == MR_SUB_ON && sub_of(e)->inst->number == number)
			return true;
	return false;
}

/* One that moves is not waited for any longer: what it still shows is behind, unless another query shows the same and is not. */
static void let_go(struct mr_transition *t, struct mr_sub *sub)
{
	if (!shows_too(sub->session, sub->have->number)) {
		mr_body_behind(mr_transition_own(t), sub->session->encoding, sub->have->number, true);
		mr_transition_own_done(t);
	}
	mr_sub_state(sub, MR_SUB_NEW);
}

static void detached_with(struct mr_session *s, const struct mr_transition *t)
{
	MR_LIST_FOR (e, &s->shown)
		if (sub_of(e)->state == MR_SUB_ON && had_part(t, sub_of(e)->inst, DETACHED))
			mr_sub_state(sub_of(e), MR_SUB_BEHIND);
	MR_LIST_FOR (e, &s->waiting)
		if (had_part(t, sub_of(e)->inst, DETACHED) && sub_of(e)->state == MR_SUB_BEHIND)
			sub_of(e)->at = s->at;
}

/* Queries that hold the session too long go on by themselves, marked behind. */
static bool detach_slow(struct mr_session *s, struct mr_transition *t)
{
	bool any = false;
	int64_t now = mr_mono_us(), hold = s->all->f->settings.reactive_max_hold * 1000;
	if (!s->blocked_since) {
		s->blocked_since = now;
		return false;
	}
	if (now - s->blocked_since > ALIGN_AFTER_US)
		set_aligning(s, true);
	if (now - s->blocked_since < hold)
		return false;
	MR_LIST_FOR (e, &s->shown) {
		bool moving = sub_of(e)->state == MR_SUB_MOVING;
		if (moving)
			let_go(t, sub_of(e));
		else if (mr_instance_bound(sub_of(e)->inst, s->all->f->clock->n) <= s->at)
			detach(t, sub_of(e));
		else
			continue;
		any = true;
	}
	if (any)
		detached_with(s, t);
	return any;
}

/* The first body after `from`, or the list's head; NULL when some have been given up or were not made in this encoding. */
static struct mr_list *bodies_after(struct mr_instance *inst, enum mr_encoding encoding, uint64_t from)
{
	struct mr_list *e = inst->bodies.prev;
	if (inst->lost > from)
		return NULL;
	for (; e != &inst->bodies && MR_CONTAINER(e, struct mr_body, in_history)->n > from; e = e->prev)
		if (!MR_CONTAINER(e, struct mr_body, in_history)->wire[encoding])
			return NULL;
	return e->next;
}

/* Bodies after `from` up to `to`; false, and none, when not all are there. */
static bool add_bodies(struct mr_transition *t, struct mr_sub *sub, uint64_t from, uint64_t to)
{
	enum mr_encoding encoding = sub->session->encoding;
	struct mr_list *e = bodies_after(sub->inst, encoding, from);
	if (!e)
		return false;
	for (; e != &sub->inst->bodies; e = e->next) {
		struct mr_body *b = MR_CONTAINER(e, struct mr_body, in_history);
		if (b->n > to)
			break;
		mr_transition_body(t, b->wire[encoding], sub->inst->n_subs > 1);
	}
	return true;
}

/* False: it is being made. */
static bool add_whole(struct mr_transition *t, struct mr_sub *sub)
{
	uint64_t at;
	struct mr_wire *whole = mr_whole(sub->inst, sub->session->encoding, &at);
	if (!whole)
		return false;
	mr_transition_body(t, whole, sub->inst->n_subs > 1);
	bool told = add_bodies(t, sub, at, UINT64_MAX);
	MR_ASSERT(told);
	return true;
}

/* Is the key more than the field `id`? */
static bool has_named_key(const struct mr_entity *e)
{
	return e && mr_entity_column(e, e->fields[e->key[0]].column) > 0;
}

static struct mr_str key_name(const struct mr_entity *e, size_t i)
{
	return e->fields[mr_entity_column(e, e->fields[e->key[i]].column)].name;
}

static void add_ack(struct mr_transition *t, struct mr_sub *sub, bool keep)
{
	const struct mr_instance *inst = sub->inst;
	enum mr_encoding encoding = sub->session->encoding;
	struct mr_enc e;
	char k[33];
	mr_transition_comma(&t->acks, encoding, t->n_acks++);
	mr_enc_init(&e, &t->acks, encoding);
	mr_enc_map(&e, 3 + keep + (inst->entity != NULL) + has_named_key(inst->entity));
	mr_enc_key(&e, MR_STR("id"));
	mr_enc_int(&e, sub->id);
	mr_enc_key(&e, MR_STR("i"));
	mr_enc_int(&e, (int64_t)inst->number);
	mr_enc_key(&e, MR_STR("k"));
	mr_instance_k(inst, k);
	mr_enc_str(&e, mr_str(k));
	if (keep) {
		mr_enc_key(&e, MR_STR("keep"));
		mr_enc_bool(&e, true);
	}
	if (inst->entity) {
		size_t visible = 0;
		for (size_t i = 0; i < inst->entity->n; i++)
			visible += !inst->entity->fields[i].server_only;
		mr_enc_key(&e, MR_STR("types"));
		mr_enc_map(&e, visible);
		for (size_t i = 0; i < inst->entity->n; i++) {
			if (inst->entity->fields[i].server_only)
				continue;
			mr_enc_key(&e, inst->entity->fields[i].name);
			mr_enc_str(&e, mr_str(mr_type_name(inst->entity->fields[i].type)));
		}
		mr_enc_end(&e);
	}
	if (has_named_key(inst->entity)) {
		mr_enc_key(&e, MR_STR("key"));
		mr_enc_array(&e, inst->entity->n_key);
		for (size_t i = 0; i < inst->entity->n_key; i++)
			mr_enc_str(&e, key_name(inst->entity, i));
		mr_enc_end(&e);
	}
	mr_enc_end(&e);
}

static void answer(struct mr_transition *t, struct mr_sub *sub, bool keep)
{
	/* One whole serves all of the session's that wait for it. */
	if (!keep && !had_part(t, sub->inst, WHOLE) && !add_whole(t, sub)) {
		note_part(t, sub->inst, MUST_WAIT);
		return;
	}
	if (!keep)
		note_part(t, sub->inst, WHOLE);
	sub->session->all->f->counter[keep ? MR_C_RESUMES_KEPT_TOTAL : MR_C_RESUMES_FULL_TOTAL] += sub->have && sub->state != MR_SUB_MOVING;
	add_ack(t, sub, keep);
	mr_sub_have_nothing(sub);
	mr_sub_state(sub, MR_SUB_ON);
}

static bool holds_same_state(const struct mr_sub *sub)
{
	char h[17];
	mr_instance_h(sub->inst, h);
	return memcmp(h, sub->have->h, 16) == 0;
}

static const struct mr_catalog *catalog_of(const struct mr_sub *sub)
{
	return sub->session->all->f->clock->catalog;
}

/* The key of rows from before says of which table they are, and the log does not tell how a table differs that was altered or made anew
 * meanwhile. So what the instance read must be known to be of the table that its key names. */
static bool knows_table(const struct mr_sub *sub)
{
	uint64_t loaded = MR_MAX(sub->inst->loaded, mr_sets_loaded(sub->inst));
	return !sub->have || !sub->inst->entity || mr_catalog_read_at(catalog_of(sub)) >= loaded;
}

static bool same_key(const struct mr_sub *sub)
{
	char k[33];
	if (!sub->have)
		return false;
	mr_instance_k(sub->inst, k);
	return strcmp(sub->have->k, k) == 0;
}

/* Rows from before can be brought here by the keys touched since: plain filters only, windows and functions go by hash. */
static bool can_resume(const struct mr_sub *sub)
{
	const struct mr_instance *inst = sub->inst;
	return sub->session->resume_from && inst->entity && inst->rows.limit < 0 && !inst->failure &&
	       !mr_catalog_blind(catalog_of(sub), inst->entity) && !mr_sets_blind(inst);
}

static void answer_new(struct mr_transition *t, struct mr_sub *sub)
{
	if (same_key(sub) && holds_same_state(sub))
		answer(t, sub, true);
	else if (same_key(sub) && can_resume(sub))
		mr_resume_ask(sub);
	else
		answer(t, sub, false);
}

static void answer_resumed(struct mr_transition *t, struct mr_sub *sub)
{
	answer(t, sub, same_key(sub) && can_resume(sub) && mr_resume_tell(sub, t));
}

static bool is_current(const struct mr_instance *inst, uint64_t n)
{
	return mr_instance_bound(inst, n) == n && inst->last <= n;
}

/* A session that shows it would have to stay here. */
static bool holds_back(const struct mr_instance *inst, uint64_t n)
{
	uint64_t now = inst->all->f->clock->n;
	return now > n && mr_instance_bound(inst, now) <= n;
}

/* In one transition each instance speaks once. */
static bool claim(struct mr_transition *t, struct mr_sub *sub)
{
	bool first = !had_part(t, sub->inst, SPOKE);
	note_part(t, sub->inst, SPOKE);
	return first;
}

/* A detached query shows what has become known of it, and comes back when it is known where the session is: that is said once, by the
 * first of those that share the instance. */
static bool follow_behind(struct mr_transition *t, struct mr_sub *sub)
{
	struct mr_instance *inst = sub->inst;
	bool first = claim(t, sub), back = is_current(inst, t->n) && !holds_back(inst, t->n);
	if (!first && !had_part(t, inst, FOLLOWS))
		return false; /* it was detached just now, or must wait */
	if (first && inst->last > sub->at && !add_bodies(t, sub, sub->at, UINT64_MAX) && !add_whole(t, sub))
		return false;
	note_part(t, inst, FOLLOWS);
	sub->at = MR_MAX(sub->at, inst->last);
	if (first && back)
		add_behind(t, sub, false);
	if (back)
		mr_sub_state(sub, MR_SUB_ON);
	return back;
}

static size_t bytes_after(const struct mr_instance *inst, enum mr_encoding encoding, uint64_t from)
{
	size_t n = 0;
	for (struct mr_list *e = inst->bodies.prev; e != &inst->bodies; e = e->prev) {
		const struct mr_body *b = MR_CONTAINER(e, struct mr_body, in_history);
		if (b->n <= from)
			break;
		n += b->wire[encoding] ? b->wire[encoding]->text.n : 0;
	}
	return n;
}

/* All of it is no larger than what has become of it since: so it is for who stood still while it changed much. */
static bool whole_is_cheaper(const struct mr_sub *sub, uint64_t from)
{
	struct mr_instance *inst = sub->inst;
	enum mr_encoding encoding = sub->session->encoding;
	size_t bytes = bytes_after(inst, encoding, from);
	return bytes > BODIES_FREE && bytes > mr_instance_least(inst) && mr_whole_size(inst, encoding) < bytes;
}

/* What a shown query became: its bodies, or all of it when that is less or they have been given up; when all of it is of a later tick, it
 * gets that by itself (false). Readers of event streams keep no state to apply pieces to, so they get a function's value whole. */
static bool follow(struct mr_transition *t, struct mr_sub *sub)
{
	bool current = is_current(sub->inst, t->n);
	bool whole = current && ((!sub->inst->entity && sub->session->live) || whole_is_cheaper(sub, sub->session->at));
	if (whole && add_whole(t, sub))
		return true;
	if (add_bodies(t, sub, sub->session->at, t->n))
		return true;
	if (!whole && current && add_whole(t, sub))
		return true;
	detach(t, sub);
	return false;
}

/* It is answered like one that is new, and what it shows is kept if it is the same. Others of the session that share the instance may be
 * told twice what it is. */
static void arrive(struct mr_transition *t, struct mr_sub *sub)
{
	if (!has_arrived(sub, t->n))
		return;
	claim(t, sub);
	answer(t, sub, same_key(sub) && holds_same_state(sub) && knows_table(sub));
	if (sub->state == MR_SUB_MOVING)
		let_go(t, sub); /* all of it is much, and being made */
}

static void collect_shown(struct mr_session *s, struct mr_transition *t)
{
	bool detached = false;
	for (struct mr_list *e = s->news.next, *before; e != &s->news; e = after(before, e)) {
		struct mr_sub *sub = MR_CONTAINER(e, struct mr_sub, in_news);
		before = e->prev;
		if (sub->state == MR_SUB_MOVING) {
			arrive(t, sub);
			continue;
		}
		if (sub->inst->last > s->at && claim(t, sub))
			detached |= !follow(t, sub);
		if (sub->inst->last <= t->n)
			mr_list_del(&sub->in_news);
	}
	if (detached)
		detached_with(s, t);
}

static bool can_be_answered(const struct mr_sub *sub, uint64_t n)
{
	if (sub->state == MR_SUB_TAIL && !mr_resume_come(sub))
		return false;
	if ((sub->state == MR_SUB_NEW || sub->state == MR_SUB_TAIL) && !knows_table(sub))
		return false;
	return sub->state == MR_SUB_BEHIND || is_current(sub->inst, n);
}

static void note_behind(const struct mr_session *s, const struct mr_transition *t)
{
	MR_LIST_FOR (e, &s->waiting)
		if (sub_of(e)->state == MR_SUB_BEHIND)
			note_part(t, sub_of(e)->inst, IS_BEHIND);
}

static void collect_new(struct mr_session *s, struct mr_transition *t)
{
	bool back = false;
	note_behind(s, t);
	for (struct mr_list *e = s->waiting.next, *before; e != &s->waiting; e = after(before, e)) {
		struct mr_sub *sub = sub_of(e);
		before = e->prev;
		if (!can_be_answered(sub, t->n))
			continue;
		if (sub->state == MR_SUB_BEHIND) {
			back |= follow_behind(t, sub);
			continue;
		}
		/* A new one is answered when none that shares its instance is behind. */
		if (had_part(t, sub->inst, IS_BEHIND))
			continue;
		/* It goes on in the next transition; who is behind has time. */
		if (had_part(t, sub->inst, WHOLE))
			answer(t, sub, false);
		else if (!claim(t, sub))
			t->again |= !had_part(t, sub->inst, MUST_WAIT);
		else if (sub->state == MR_SUB_NEW)
			answer_new(t, sub);
		else
			answer_resumed(t, sub);
	}
	t->again |= back && s->n_waiting; /* others may have waited for it */
}

static void add_replies(struct mr_session *s, struct mr_transition *t)
{
	const struct mr_clock *clock = s->all->f->clock;
	MR_LIST_FOR (e, &s->replies) {
		struct mr_pending_reply *r = MR_CONTAINER(e, struct mr_pending_reply, in_session);
		if (!r->n && mr_clock_sees(clock, r->xid))
			r->n = clock->n;
		if (!r->n || r->n > t->n)
			continue;
		struct mr_enc enc;
		struct mr_arena a = {0};
		struct mr_error err;
		mr_transition_comma(&t->replies, s->encoding, t->n_replies++);
		mr_enc_init(&enc, &t->replies, s->encoding);
		mr_enc_map(&enc, 2);
		mr_enc_key(&enc, MR_STR("id"));
		mr_enc_str(&enc, r->id);
		mr_enc_key(&enc, MR_STR("value"));
		const struct mr_node *value = mr_json_read(&a, r->value, 4096, false, &err);
		if (value)
			mr_enc_node(&enc, value);
		else
			mr_enc_null(&enc);
		mr_enc_end(&enc);
		mr_arena_fini(&a);
		mr_session_free_reply(r);
	}
}

/* A position vouches for everything the client holds: none is given while rows from before wait for their answer, or a query is behind. */
static bool holds_stale_rows(const struct mr_session *s)
{
	if (s->queue)
		return true;
	MR_LIST_FOR (e, &s->waiting)
		if (sub_of(e)->state == MR_SUB_BEHIND || sub_of(e)->have)
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
	collect_shown(s, &t);
	collect_new(s, &t);
	add_replies(s, &t);
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

/* The oldest tick after which somebody still needs the bodies. */
static uint64_t needed_since(const struct mr_sessions *all)
{
	uint64_t n = all->f->clock->n;
	MR_LIST_FOR (e, &all->lagging) {
		const struct mr_session *s = MR_CONTAINER(e, struct mr_session, in_lagging);
		n = MR_MIN(n, s->at);
		MR_LIST_FOR (o, &s->waiting) {
			const struct mr_sub *sub = sub_of(o);
			if (sub->state == MR_SUB_TAIL || sub->state == MR_SUB_BEHIND)
				n = MR_MIN(n, sub->at);
		}
	}
	return n;
}

/* What a transition touches of those that come next is fetched while one is at it: little of it outlives the system calls. */
static void fetch_ahead(const struct mr_looks *look, size_t i)
{
	enum { SESSION_AHEAD = 4, OTHERS_AHEAD = 2 };
	const struct mr_session *s = i + SESSION_AHEAD < look->n ? look->v[i + SESSION_AHEAD] : NULL;
	for (int line = 0; s && line < MR_SESSION_HOT; line += 64)
		__builtin_prefetch((const char *)s + line, 1);
	s = i + OTHERS_AHEAD < look->n ? look->v[i + OTHERS_AHEAD] : NULL;
	if (s && s->ws) {
		mr_ws_fetch(s->ws);
		__builtin_prefetch(s->news.next, 1);
	}
}

void mr_sessions_advance(struct mr_sessions *all)
{
	if (all->advancing)
		return;
	all->advancing = true;
	all->unsettled = false;
	/* Some are added meanwhile. */
	for (size_t i = 0; i < all->look.n; i++) {
		struct mr_session *s = all->look.v[i];
		fetch_ahead(&all->look, i);
		if (!s)
			continue;
		s->look = 0;
		all->look.v[i] = NULL;
		mr_session_advance(s);
	}
	all->look.n = 0;
	mr_share_end_round(all->share);
	if (all->trimmed != all->f->clock->n) {
		all->trimmed = all->f->clock->n;
		mr_instances_trim(all->f->instances, needed_since(all));
	}
	all->advancing = false;
}
