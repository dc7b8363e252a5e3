#include "payloads.h"

#include <stdlib.h>

#include "proto/ground/hash.h"
#include "proto/ground/list.h"
#include "proto/ground/node.h"

enum { PAYLOAD_DEPTH = 5000 };

struct payload {
	struct mr_list in_age;
	struct mr_list in_pending;
	uint8_t token[MR_TOKEN_BYTES];
	int lane; /* -1: its worker is lost */
	uint64_t position;
	bool pinned;
	struct mr_str session, call; /* heap, of those in the list pending */
	size_t n;
	char text[];
};

struct mr_payloads {
	struct mr_map by_token;
	struct mr_list age;     /* oldest first */
	struct mr_list pending; /* left so by workers that are lost */
	size_t bytes, max_bytes;
};

struct mr_payloads *mr_payloads_new(size_t max_bytes)
{
	struct mr_payloads *p = mr_alloc(sizeof *p);
	mr_list_init(&p->age);
	mr_list_init(&p->pending);
	p->max_bytes = max_bytes;
	return p;
}

static void drop(struct mr_payloads *p, struct payload *x)
{
	mr_map_del(&p->by_token, (struct mr_str){(const char *)x->token, sizeof x->token});
	mr_list_del(&x->in_age);
	mr_list_del(&x->in_pending);
	free((char *)x->session.p);
	free((char *)x->call.p);
	p->bytes -= x->n + sizeof *x;
	free(x);
}

void mr_payloads_delete(struct mr_payloads **p)
{
	if (!*p)
		return;
	MR_LIST_FOR (e, &(*p)->age)
		drop(*p, MR_CONTAINER(e, struct payload, in_age));
	mr_map_fini(&(*p)->by_token);
	free(*p);
	*p = NULL;
}

static struct payload *find(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES])
{
	return mr_map_get(&p->by_token, (struct mr_str){(const char *)token, MR_TOKEN_BYTES});
}

void mr_payloads_add(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES], struct mr_str payload, int lane, uint64_t position)
{
	struct payload *before = find(p, token);
	if (before)
		drop(p, before);
	struct payload *x = mr_alloc(sizeof *x + payload.n + 1);
	memcpy(x->token, token, sizeof x->token);
	x->lane = lane;
	x->position = position;
	mr_list_init(&x->in_pending);
	x->n = payload.n;
	memcpy(x->text, payload.p, payload.n);
	mr_list_add_tail(&p->age, &x->in_age);
	mr_map_put(&p->by_token, (struct mr_str){(const char *)x->token, sizeof x->token}, x);
	p->bytes += x->n + sizeof *x;
	MR_LIST_FOR (e, &p->age) {
		struct payload *oldest = MR_CONTAINER(e, struct payload, in_age);
		if (p->bytes <= p->max_bytes)
			break;
		if (!oldest->pinned)
			drop(p, oldest);
	}
}

/* An attempt that was taken back will never be shown: under contention there are many. */
static bool was_aborted(const struct payload *x, const struct mr_ring *ring)
{
	return !x->pinned && x->lane >= 0 && mr_ring_state(ring, x->lane, x->position) == MR_SLOT_ABORTED;
}

void mr_payloads_pin(struct mr_payloads *p, const struct mr_ring *ring, struct mr_buf *tokens, size_t max)
{
	for (struct mr_list *e = p->age.prev, *older; e != &p->age && max; e = older) {
		struct payload *x = MR_CONTAINER(e, struct payload, in_age);
		older = e->prev;
		if (was_aborted(x, ring)) {
			drop(p, x);
			continue;
		}
		x->pinned = true;
		mr_buf_add(tokens, x->token, sizeof x->token);
		max--;
	}
}

void mr_payloads_unpin(struct mr_payloads *p)
{
	MR_LIST_FOR (e, &p->age)
		MR_CONTAINER(e, struct payload, in_age)->pinned = false;
}

struct mr_str mr_payloads_get(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES])
{
	struct payload *x = find(p, token);
	return x ? (struct mr_str){x->text, x->n} : (struct mr_str){0};
}

static struct mr_str copy_of(struct mr_str s)
{
	return (struct mr_str){mr_strndup(s.p, s.n), s.n};
}

/* From now on the log is asked for it: by its own token, or by its call. */
static void await(struct mr_payloads *p, struct payload *x)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *record = mr_json_read(&a, (struct mr_str){x->text, x->n}, PAYLOAD_DEPTH, false, &err);
	x->session = copy_of(mr_node_str(record, "session"));
	x->call = copy_of(mr_node_str(record, "call"));
	mr_list_add_tail(&p->pending, &x->in_pending);
	mr_arena_fini(&a);
}

size_t mr_payloads_unblock(struct mr_payloads *p, const struct mr_ring *ring, int lane)
{
	size_t n = 0;
	MR_LIST_FOR (e, &p->age) {
		struct payload *x = MR_CONTAINER(e, struct payload, in_age);
		if (x->lane != lane)
			continue;
		if (was_aborted(x, ring)) {
			drop(p, x);
			continue;
		}
		if (mr_ring_state(ring, lane, x->position) == MR_SLOT_PENDING) {
			await(p, x);
			n++;
		}
		x->lane = -1;
	}
	return n;
}

static bool is_of_call(const struct payload *x, struct mr_str session, struct mr_str call)
{
	return call.n && mr_str_eq(x->session, session) && mr_str_eq(x->call, call);
}

size_t mr_payloads_shown(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES], struct mr_str session, struct mr_str call)
{
	size_t settled = 0;
	struct payload *own = find(p, token);
	if (own) {
		settled += mr_list_linked(&own->in_pending);
		drop(p, own);
	}
	MR_LIST_FOR (e, &p->pending) {
		struct payload *x = MR_CONTAINER(e, struct payload, in_pending);
		if (is_of_call(x, session, call)) {
			drop(p, x);
			settled++;
		}
	}
	return settled;
}
