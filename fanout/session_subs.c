/* A session's subscriptions: which there are, and the instances that serve them. */
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "instance_gates.h"
#include "proto/ground/log.h"
#include "session.h"

enum { FEW_SUBS = 8 };

/* Subscriptions by id: few are looked for one by one, for more there is a map. */

static struct mr_str id_of(const uint32_t *id)
{
	return (struct mr_str){(const char *)id, sizeof *id};
}

static struct mr_sub *find_among(const struct mr_list *subs, uint32_t id)
{
	MR_LIST_FOR (e, subs)
		if (mr_sub_of(e)->id == id)
			return mr_sub_of(e);
	return NULL;
}

static struct mr_sub *find_sub(const struct mr_session *s, uint32_t id)
{
	if (s->subs_by_id)
		return mr_map_get(s->subs_by_id, id_of(&id));
	const struct mr_list *lists[] = {&s->shown, &s->waiting, mr_queue_subs(s)};
	struct mr_sub *sub = NULL;
	for (size_t i = 0; i < MR_COUNT(lists) && lists[i] && !sub; i++)
		sub = find_among(lists[i], id);
	return sub;
}

static void map_all(struct mr_map *map, const struct mr_list *subs)
{
	MR_LIST_FOR (e, subs) {
		struct mr_sub *sub = mr_sub_of(e);
		mr_map_put(map, id_of(&sub->id), sub);
	}
}

static bool is_shown(enum mr_sub_state state)
{
	return state == MR_SUB_ON || state == MR_SUB_MOVING;
}

static bool in_waiting(enum mr_sub_state state)
{
	return !is_shown(state) && state != MR_SUB_QUEUED;
}

static void count(struct mr_sub *sub, int by)
{
	struct mr_session *s = sub->session;
	enum mr_sub_state state = sub->state;
	s->n_waiting += in_waiting(state) ? (uint32_t)by : 0;
	s->n_asked += state == MR_SUB_NEW || state == MR_SUB_TAIL ? (uint32_t)by : 0;
}

static void list(struct mr_sub *sub)
{
	struct mr_session *s = sub->session;
	if (sub->state == MR_SUB_QUEUED)
		mr_queue_add(sub);
	else
		mr_list_add_tail(is_shown(sub->state) ? &s->shown : &s->waiting, &sub->in_session);
}

static void join_session(struct mr_sub *sub)
{
	struct mr_session *s = sub->session;
	list(sub);
	count(sub, 1);
	s->n_subs++;
	if (s->subs_by_id) {
		mr_map_put(s->subs_by_id, id_of(&sub->id), sub);
	} else if (s->n_subs > FEW_SUBS) {
		s->subs_by_id = mr_alloc(sizeof *s->subs_by_id);
		map_all(s->subs_by_id, &s->shown);
		map_all(s->subs_by_id, &s->waiting);
		if (mr_queue_subs(s))
			map_all(s->subs_by_id, mr_queue_subs(s));
	}
}

static void leave_session(struct mr_sub *sub)
{
	struct mr_session *s = sub->session;
	mr_list_del(&sub->in_session);
	count(sub, -1);
	s->n_subs--;
	if (sub->state == MR_SUB_QUEUED)
		mr_queue_left(s);
	else
		mr_queue_feed(s);
	if (!s->subs_by_id)
		return;
	mr_map_del(s->subs_by_id, id_of(&sub->id));
	if (s->n_subs > FEW_SUBS / 2)
		return;
	mr_map_fini(s->subs_by_id);
	free(s->subs_by_id);
	s->subs_by_id = NULL;
}

static void count_held(struct mr_sub *sub, int by)
{
	if (is_shown(sub->state) && sub->inst && sub->inst->dirty)
		sub->session->n_held += (uint32_t)by;
}

void mr_sub_state(struct mr_sub *sub, enum mr_sub_state state)
{
	bool other_list = state == MR_SUB_QUEUED || sub->state == MR_SUB_QUEUED || is_shown(state) != is_shown(sub->state);
	count_held(sub, -1);
	count(sub, -1);
	sub->state = state;
	count(sub, 1);
	count_held(sub, 1);
	if (other_list) {
		mr_list_del(&sub->in_session);
		list(sub);
	}
	if (!is_shown(state)) {
		mr_list_del(&sub->in_news);
		mr_session_lag(sub->session, true);
	}
}

/* Nothing of them is in the cache, and what comes next is known: it is fetched meanwhile. */
static void fetch_ahead(struct mr_sub *const *subs, size_t n, size_t i)
{
	enum { SUB_AHEAD = 8, SESSION_AHEAD = 4 };
	if (i + SUB_AHEAD < n)
		__builtin_prefetch(subs[i + SUB_AHEAD], 1);
	if (i + SESSION_AHEAD >= n)
		return;
	const char *session = (const char *)subs[i + SESSION_AHEAD]->session;
	__builtin_prefetch(session, 1);
	__builtin_prefetch(session + offsetof(struct mr_session, news), 1);
}

void mr_subs_news(struct mr_instance *inst)
{
	struct mr_sub *const *subs = mr_instance_subs(inst);
	for (size_t i = 0; i < inst->n_subs; i++) {
		struct mr_sub *sub = subs[i];
		fetch_ahead(subs, inst->n_subs, i);
		if (sub->state == MR_SUB_ON && !mr_list_linked(&sub->in_news))
			mr_list_add_tail(&sub->session->news, &sub->in_news);
		mr_session_look(sub->session);
	}
}

void mr_subs_held(struct mr_instance *inst, bool held)
{
	for (size_t i = 0; i < inst->n_subs; i++) {
		struct mr_sub *sub = mr_instance_subs(inst)[i];
		sub->session->n_held += !is_shown(sub->state) ? 0 : held ? 1 : (uint32_t)-1;
	}
}

static void join(struct mr_sub *sub, struct mr_instance *inst)
{
	if (inst->n_subs == 1 && !inst->cap_subs) {
		struct mr_sub *lone = inst->lone;
		inst->cap_subs = 4;
		inst->subs = mr_alloc(inst->cap_subs * sizeof(struct mr_sub *));
		inst->subs[0] = lone;
	} else if (inst->n_subs && inst->n_subs == inst->cap_subs) {
		inst->cap_subs *= 2;
		inst->subs = mr_realloc(inst->subs, inst->cap_subs * sizeof(struct mr_sub *));
	}
	sub->inst = inst;
	sub->place = inst->n_subs++;
	*(inst->cap_subs ? &inst->subs[sub->place] : &inst->lone) = sub;
	inst->aligning += sub->session->aligning;
	count_held(sub, 1);
}

static void leave(struct mr_sub *sub)
{
	struct mr_instance *inst = sub->inst;
	struct mr_sub *last = mr_instance_subs(inst)[--inst->n_subs];
	*(inst->cap_subs ? &inst->subs[sub->place] : &inst->lone) = last;
	last->place = sub->place;
	sub->inst = NULL;
	if (inst->n_subs > 1 || !inst->cap_subs)
		return;
	last = inst->subs[0];
	free(inst->subs);
	inst->cap_subs = 0;
	inst->lone = last;
}

/* The instance that serves the subscription under the session's identity; it may be new and serve nobody yet. */
static struct mr_instance *find_instance(const struct mr_sub *sub, struct mr_error *err)
{
	const struct mr_session *s = sub->session;
	struct mr_arena a = {0};
	const struct mr_node *message =
		mr_json_read(&a, (struct mr_str){sub->query, sub->n_query}, (int)s->all->f->settings.max_depth + 4, false, err);
	struct mr_query q = {.node = message, .auth = mr_session_auth(s, &a), .auth_json = mr_session_identity(s), .ordered = s->live};
	struct mr_instance *inst = message ? mr_instance_find(s->all->f->instances, &q, err) : NULL;
	mr_arena_fini(&a);
	return inst;
}

static bool attach(struct mr_sub *sub, struct mr_error *err)
{
	struct mr_session *s = sub->session;
	struct mr_instance *inst = find_instance(sub, err);
	if (!inst)
		return false;
	join(sub, mr_instance_is_gate(inst) ? mr_gate_enter(inst, sub) : inst);
	if (sub->have)
		mr_ticks_want_catalog(s->all->f->hub->ticks);
	mr_session_look(s);
	return true;
}

static void part(struct mr_sub *sub)
{
	struct mr_instance *inst = sub->inst;
	if (!inst)
		return;
	mr_resume_leave(sub);
	inst->aligning -= sub->session->aligning;
	count_held(sub, -1);
	mr_list_del(&sub->in_news);
	leave(sub);
	mr_instance_release(inst);
}

static void detach(struct mr_sub *sub)
{
	part(sub);
	mr_gate_leave(sub);
}

void mr_sub_free(struct mr_sub *sub)
{
	struct mr_session *s = sub->session;
	detach(sub);
	leave_session(sub);
	s->all->f->counter[MR_C_SUBSCRIPTIONS]--;
	free(sub->have);
	free(sub);
}

static void copy_have(struct mr_sub *sub, const struct mr_node *have)
{
	struct mr_str k = mr_node_str(have, "k"), h = mr_node_str(have, "h");
	if (k.n != 32 || h.n != 16)
		return;
	sub->have = mr_alloc(sizeof *sub->have);
	memcpy(sub->have->k, k.p, 32);
	memcpy(sub->have->h, h.p, 16);
}

void mr_sub_have_nothing(struct mr_sub *sub)
{
	mr_resume_leave(sub);
	free(sub->have);
	sub->have = NULL;
}

/* Of a subscribe message, what makes the query: it is kept, for the query is looked up again when the app or the identity changes. */
static struct mr_sub *new_sub(const struct mr_node *m)
{
	static const char *const others[] = {"t", "id", "have"};
	struct mr_arena a = {0};
	struct mr_buf text = {0};
	struct mr_node query = *m;
	query.items = mr_arena_alloc(&a, m->n * sizeof *query.items);
	query.n = 0;
	for (size_t i = 0; i < m->n; i++) {
		bool other = false;
		for (size_t k = 0; k < MR_COUNT(others); k++)
			other |= mr_str_is(m->items[i].key, others[k]);
		if (!other)
			query.items[query.n++] = m->items[i];
	}
	mr_json_canonical(&text, &query);
	struct mr_sub *sub = mr_alloc(sizeof *sub + text.n);
	memcpy(sub->query, text.p, text.n);
	sub->n_query = (uint32_t)text.n;
	mr_buf_fini(&text);
	mr_arena_fini(&a);
	return sub;
}

bool mr_session_subscribe(struct mr_session *s, const struct mr_node *m, struct mr_error *err)
{
	const struct mr_fanout *f = s->all->f;
	int64_t id;
	if (!mr_node_int(mr_node_get(m, "id"), &id) || id < 1 || id > INT32_MAX)
		return mr_fail(err, MR_BAD_MESSAGE, "subscribe needs an id from 1 to 2147483647.");
	if (find_sub(s, (uint32_t)id))
		return mr_fail(err, MR_BAD_MESSAGE, "Subscription %lld is in use on this socket.", (long long)id);
	if (!f->app)
		return mr_fail(err, MR_NO_WORKERS, "The app is still being loaded; try again in a moment.");
	if (s->n_subs >= f->settings.max_subscriptions)
		return mr_fail_data(err, MR_TOO_MANY_SUBSCRIPTIONS, "{\"setting\":\"max_subscriptions\"}",
			"A client may hold %lld live queries (max_subscriptions).", (long long)f->settings.max_subscriptions);
	struct mr_sub *sub = new_sub(m);
	sub->session = s;
	sub->id = (uint32_t)id;
	copy_have(sub, mr_node_get(m, "have"));
	mr_list_init(&sub->in_news);
	mr_list_init(&sub->in_gate);
	sub->state = mr_session_is_full(s) ? MR_SUB_QUEUED : MR_SUB_NEW;
	join_session(sub);
	mr_session_lag(s, true);
	s->all->f->counter[MR_C_SUBSCRIPTIONS]++;
	if (sub->state == MR_SUB_QUEUED || attach(sub, err))
		return true;
	mr_sub_free(sub);
	return false;
}

void mr_session_unsubscribe(struct mr_session *s, const struct mr_node *m)
{
	int64_t id;
	if (!mr_node_int(mr_node_get(m, "id"), &id))
		return;
	struct mr_sub *sub = find_sub(s, (uint32_t)id);
	if (sub)
		mr_sub_free(sub);
}

void mr_sub_begin(struct mr_sub *sub)
{
	struct mr_error err;
	if (attach(sub, &err))
		return;
	mr_session_error(sub->session, &err, sub->id, false);
	mr_sub_free(sub);
}

/* What it shows stays good if the new instance has the same key and state; unless it was held back and shows an older one. Either way it
 * holds rows from before until it is answered. */
static void note_have(struct mr_sub *sub)
{
	const struct mr_instance *was = sub->inst;
	MR_ASSERT(!sub->have);
	sub->have = mr_alloc(sizeof *sub->have);
	sub->have->number = was->number;
	mr_instance_k(was, sub->have->k);
	if (sub->state == MR_SUB_ON && was->last <= sub->session->at)
		mr_instance_h(was, sub->have->h);
}

void mr_sub_move(struct mr_sub *sub, struct mr_instance *to, uint64_t n)
{
	bool shown = is_shown(sub->state);
	if (sub->inst == to)
		return;
	if (sub->state == MR_SUB_ON || sub->state == MR_SUB_BEHIND)
		note_have(sub);
	part(sub);
	mr_sub_state(sub, shown ? MR_SUB_MOVING : MR_SUB_NEW);
	if (shown) {
		sub->at = n;
		if (!mr_list_linked(&sub->in_news))
			mr_list_add_tail(&sub->session->news, &sub->in_news);
	}
	join(sub, to);
	if (sub->have)
		mr_ticks_want_catalog(sub->session->all->f->hub->ticks);
	mr_session_look(sub->session);
}

static void reattach(struct mr_sub *sub)
{
	if (sub->state == MR_SUB_ON || sub->state == MR_SUB_BEHIND)
		note_have(sub);
	detach(sub);
	if (sub->state == MR_SUB_QUEUED)
		return;
	bool full = mr_session_is_full(sub->session);
	mr_sub_state(sub, full ? MR_SUB_QUEUED : MR_SUB_NEW);
	if (!full)
		mr_sub_begin(sub);
}

void mr_sessions_reattach(struct mr_sessions *all, struct mr_instance *inst)
{
	/* The instance goes with its last subscription. */
	for (size_t n = inst->n_subs; n; n--)
		reattach(mr_instance_subs(inst)[0]);
}

/* Those that are shown wait then, behind the others. */
void mr_session_reattach(struct mr_session *s)
{
	MR_LIST_FOR (e, &s->waiting)
		reattach(mr_sub_of(e));
	while (!mr_list_empty(&s->shown))
		reattach(mr_sub_of(s->shown.next));
}

/* Nothing is run again, and nothing told, where the same instance serves it as before. */
static void reidentify(struct mr_sub *sub)
{
	struct mr_error ignored;
	if (sub->state == MR_SUB_QUEUED)
		return;
	struct mr_instance *inst = find_instance(sub, &ignored);
	if (inst && inst == (sub->gate ? sub->gate : sub->inst))
		return;
	if (inst && !inst->n_subs)
		mr_instance_release(inst);
	reattach(sub);
}

void mr_session_reidentify(struct mr_session *s)
{
	MR_LIST_FOR (e, &s->waiting)
		reidentify(mr_sub_of(e));
	MR_LIST_FOR (e, &s->shown)
		reidentify(mr_sub_of(e));
}

void mr_sessions_reattach_all(struct mr_sessions *all)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->by_id, &i, &key, &value);)
		mr_session_reattach(value);
}
