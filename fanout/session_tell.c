#include "session_tell.h"

#include "catalog.h"
#include "clock.h"
#include "instance_sets.h"
#include "proto/ground/log.h"
#include "session.h"
#include "transition.h"
#include "whole.h"

enum { BODIES_FREE = 16 << 10 }; /* so many bytes of differences are not worth a thought */

bool mr_tell_arrived(const struct mr_sub *sub, uint64_t n)
{
	return sub->state != MR_SUB_MOVING || (n >= sub->at && sub->inst->last <= n && mr_instance_bound(sub->inst, n) == n);
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
		if (mr_sub_of(e)->state == MR_SUB_ON && mr_sub_of(e)->inst->number == number)
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
		if (mr_sub_of(e)->state == MR_SUB_ON && had_part(t, mr_sub_of(e)->inst, DETACHED))
			mr_sub_state(mr_sub_of(e), MR_SUB_BEHIND);
	MR_LIST_FOR (e, &s->waiting)
		if (had_part(t, mr_sub_of(e)->inst, DETACHED) && mr_sub_of(e)->state == MR_SUB_BEHIND)
			mr_sub_of(e)->at = s->at;
}

bool mr_tell_detached(struct mr_session *s, struct mr_transition *t)
{
	bool any = false;
	MR_LIST_FOR (e, &s->shown) {
		bool moving = mr_sub_of(e)->state == MR_SUB_MOVING;
		if (moving)
			let_go(t, mr_sub_of(e));
		else if (mr_instance_bound(mr_sub_of(e)->inst, s->all->f->clock->n) <= s->at)
			detach(t, mr_sub_of(e));
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

/* Whose rows it tells; NULL: it is a function's result. */
static const struct mr_entity *rows_of(const struct mr_instance *inst)
{
	return inst->entity ? inst->entity : inst->run->rows_of;
}

static void add_types(struct mr_enc *e, const struct mr_entity *of)
{
	size_t visible = 0;
	for (size_t i = 0; i < of->n; i++)
		visible += !of->fields[i].server_only;
	mr_enc_key(e, MR_STR("types"));
	mr_enc_map(e, visible);
	for (size_t i = 0; i < of->n; i++) {
		if (of->fields[i].server_only)
			continue;
		mr_enc_key(e, of->fields[i].name);
		mr_enc_str(e, mr_str(mr_type_name(of->fields[i].type)));
	}
	mr_enc_end(e);
}

static void add_key(struct mr_enc *e, const struct mr_entity *of)
{
	mr_enc_key(e, MR_STR("key"));
	mr_enc_array(e, of->n_key);
	for (size_t i = 0; i < of->n_key; i++)
		mr_enc_str(e, key_name(of, i));
	mr_enc_end(e);
}

static void add_ack(struct mr_transition *t, struct mr_sub *sub, bool keep)
{
	const struct mr_instance *inst = sub->inst;
	const struct mr_entity *of = rows_of(inst);
	enum mr_encoding encoding = sub->session->encoding;
	struct mr_enc e;
	char k[33];
	mr_transition_comma(&t->acks, encoding, t->n_acks++);
	mr_enc_init(&e, &t->acks, encoding);
	mr_enc_map(&e, 3 + keep + (of != NULL) + has_named_key(of));
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
	if (of)
		add_types(&e, of);
	if (has_named_key(of))
		add_key(&e, of);
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
	if (!mr_tell_arrived(sub, t->n))
		return;
	claim(t, sub);
	answer(t, sub, same_key(sub) && holds_same_state(sub) && knows_table(sub));
	if (sub->state == MR_SUB_MOVING)
		let_go(t, sub); /* all of it is much, and being made */
}

void mr_tell_shown(struct mr_session *s, struct mr_transition *t)
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
		if (mr_sub_of(e)->state == MR_SUB_BEHIND)
			note_part(t, mr_sub_of(e)->inst, IS_BEHIND);
}

void mr_tell_new(struct mr_session *s, struct mr_transition *t)
{
	bool back = false;
	note_behind(s, t);
	for (struct mr_list *e = s->waiting.next, *before; e != &s->waiting; e = after(before, e)) {
		struct mr_sub *sub = mr_sub_of(e);
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

void mr_tell_replies(struct mr_session *s, struct mr_transition *t)
{
	const struct mr_clock *clock = s->all->f->clock;
	MR_LIST_FOR (e, &s->replies) {
		struct mr_pending_reply *r = MR_CONTAINER(e, struct mr_pending_reply, in_session);
		if (!r->n && mr_clock_sees(clock, r->written))
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
