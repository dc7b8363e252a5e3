/* Sessions that may have something new, and when each is told. Where they are so many that others would wait for it, they are told bit by
 * bit: the crowd stands aside, and who comes up meanwhile goes before it. Each is told what holds when it has its turn, so what several
 * ticks brought meanwhile is told at once.
 */
#include <stdlib.h>

#include "clock.h"
#include "proto/ground/fault.h"
#include "session.h"
#include "share.h"

enum {
	CROWD = 256,     /* so many at once, and those of them who had no time stand aside */
	SOME = 16,       /* of a crowd have their turn however little time is left */
	TRIM_TICKS = 64, /* histories are trimmed after so many, though somebody always waits for his turn */
};

static struct mr_looks *now(struct mr_sessions *all)
{
	return &all->looks[all->now];
}

static struct mr_looks *aside(struct mr_sessions *all)
{
	return &all->looks[!all->now];
}

static void add(struct mr_sessions *all, bool in, struct mr_session *s)
{
	struct mr_looks *looks = &all->looks[in];
	if (looks->n == looks->cap) {
		looks->cap = MR_MAX(2 * looks->cap, (size_t)64);
		looks->v = mr_realloc(looks->v, looks->cap * sizeof(struct mr_session *));
	}
	looks->v[looks->n++] = s;
	s->look = (uint32_t)looks->n;
	s->looks_in = in;
}

void mr_session_look(struct mr_session *s)
{
	if (!s->look && (s->ws || s->live) && s->id.n && !s->stalled)
		add(s->all, s->all->now, s);
}

void mr_session_unlook(struct mr_session *s)
{
	if (s->look)
		s->all->looks[s->looks_in].v[s->look - 1] = NULL;
	s->look = 0;
}

void mr_looks_fini(struct mr_sessions *all)
{
	for (size_t i = 0; i < MR_COUNT(all->looks); i++)
		free(all->looks[i].v);
}

/* What a transition touches of those that come next is fetched while one is at it: little of it outlives the system calls. */
static void fetch_ahead(const struct mr_looks *looks)
{
	enum { SESSION_AHEAD = 4, OTHERS_AHEAD = 2 };
	size_t i = looks->from;
	const struct mr_session *s = i + SESSION_AHEAD < looks->n ? looks->v[i + SESSION_AHEAD] : NULL;
	for (int line = 0; s && line < MR_SESSION_HOT; line += 64)
		__builtin_prefetch((const char *)s + line, 1);
	s = i + OTHERS_AHEAD < looks->n ? looks->v[i + OTHERS_AHEAD] : NULL;
	if (s && s->ws) {
		mr_ws_fetch(s->ws);
		__builtin_prefetch(s->news.next, 1);
	}
}

/* Whether another may be told in this turn, after so many. */
static bool has_time(const struct mr_sessions *all, size_t told)
{
	size_t most = mr_fault_turn();
	struct mr_net *net = all->f->net; /* NULL: it is being closed */
	return most ? told < most : !net || mr_net_has_time(net);
}

/* While there is time, and at least so many. Some are added meanwhile. */
static void tell(struct mr_sessions *all, struct mr_looks *looks, size_t at_least)
{
	for (size_t told = 0; looks->from < looks->n && (told < at_least || has_time(all, told)); told++) {
		fetch_ahead(looks);
		struct mr_session *s = looks->v[looks->from++];
		if (!s)
			continue;
		s->look = 0;
		looks->v[looks->from - 1] = NULL;
		mr_session_advance(s);
	}
	if (looks->from == looks->n)
		looks->from = looks->n = 0;
}

/* Those who had their turn make room. */
static void compact(struct mr_looks *looks)
{
	looks->n -= looks->from;
	memmove(looks->v, looks->v + looks->from, looks->n * sizeof(struct mr_session *));
	for (size_t i = 0; i < looks->n; i++)
		if (looks->v[i])
			looks->v[i]->look = (uint32_t)i + 1;
	looks->from = 0;
}

static void stand_aside(struct mr_sessions *all)
{
	struct mr_looks *from = now(all), *to = aside(all);
	if (from->n <= (mr_fault_turn() ? 0 : CROWD))
		return;
	if (!to->n) {
		all->now = !all->now;
		return;
	}
	if (to->from > to->n / 2)
		compact(to);
	for (size_t i = from->from; i < from->n; i++)
		if (from->v[i])
			add(all, !all->now, from->v[i]);
	from->from = from->n = 0;
}

static bool some_wait(const struct mr_sessions *all)
{
	return all->looks[0].n || all->looks[1].n;
}

/* The oldest tick after which somebody still needs the bodies. */
static uint64_t needed_since(const struct mr_sessions *all)
{
	uint64_t n = all->told;
	MR_LIST_FOR (e, &all->lagging) {
		const struct mr_session *s = MR_CONTAINER(e, struct mr_session, in_lagging);
		n = MR_MIN(n, s->at);
		MR_LIST_FOR (o, &s->waiting) {
			const struct mr_sub *sub = mr_sub_of(o);
			if (sub->state == MR_SUB_TAIL || sub->state == MR_SUB_BEHIND)
				n = MR_MIN(n, sub->at);
		}
	}
	return n;
}

static void end_round(struct mr_sessions *all)
{
	uint64_t n = all->f->clock->n;
	if (!some_wait(all)) {
		mr_share_end_round(all->share);
		all->told = n;
	}
	if (all->trimmed == n || (some_wait(all) && n - all->trimmed < TRIM_TICKS))
		return;
	all->trimmed = n;
	mr_instances_trim(all->f->instances, needed_since(all));
}

void mr_sessions_advance(struct mr_sessions *all)
{
	if (all->advancing)
		return;
	all->advancing = true;
	all->unsettled = false;
	tell(all, now(all), 0);
	stand_aside(all);
	end_round(all);
	all->advancing = false;
}

static void go_on(struct mr_sessions *all)
{
	all->advancing = true;
	tell(all, aside(all), mr_fault_turn() ? 1 : SOME);
	end_round(all);
	all->advancing = false;
}

bool mr_sessions_settle(struct mr_sessions *all)
{
	if (all->unsettled || now(all)->n)
		mr_sessions_advance(all);
	if (aside(all)->n)
		go_on(all);
	return some_wait(all);
}
