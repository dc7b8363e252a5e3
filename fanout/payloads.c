#include "payloads.h"

#include <stdlib.h>

#include "proto/ground/hash.h"
#include "proto/ground/list.h"

struct payload {
	struct mr_list in_age;
	uint8_t token[MR_TOKEN_BYTES];
	bool pinned;
	size_t n;
	char text[];
};

struct mr_payloads {
	struct mr_map by_token;
	struct mr_list age; /* oldest first */
	size_t bytes, max_bytes;
};

struct mr_payloads *mr_payloads_new(size_t max_bytes)
{
	struct mr_payloads *p = mr_alloc(sizeof *p);
	mr_list_init(&p->age);
	p->max_bytes = max_bytes;
	return p;
}

static void drop(struct mr_payloads *p, struct payload *x)
{
	mr_map_del(&p->by_token, (struct mr_str){(const char *)x->token, sizeof x->token});
	mr_list_del(&x->in_age);
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

void mr_payloads_add(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES], struct mr_str payload)
{
	mr_payloads_del(p, token);
	struct payload *x = mr_alloc(sizeof *x + payload.n + 1);
	memcpy(x->token, token, sizeof x->token);
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

void mr_payloads_pin(struct mr_payloads *p, struct mr_buf *tokens, size_t max)
{
	for (struct mr_list *e = p->age.prev; e != &p->age && max; e = e->prev, max--) {
		struct payload *x = MR_CONTAINER(e, struct payload, in_age);
		x->pinned = true;
		mr_buf_add(tokens, x->token, sizeof x->token);
	}
}

void mr_payloads_unpin(struct mr_payloads *p)
{
	MR_LIST_FOR (e, &p->age)
		MR_CONTAINER(e, struct payload, in_age)->pinned = false;
}

static struct payload *find(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES])
{
	return mr_map_get(&p->by_token, (struct mr_str){(const char *)token, MR_TOKEN_BYTES});
}

struct mr_str mr_payloads_get(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES])
{
	struct payload *x = find(p, token);
	return x ? (struct mr_str){x->text, x->n} : (struct mr_str){0};
}

void mr_payloads_del(struct mr_payloads *p, const uint8_t token[MR_TOKEN_BYTES])
{
	struct payload *x = find(p, token);
	if (x)
		drop(p, x);
}
