#include "bearers.h"

#include <stdlib.h>

/* In the map as long as it has sessions, or is being walked. */
struct mr_bearers {
	struct mr_list sessions;
	bool walked;
	size_t n; /* bytes of the key, which lies behind it */
};

static struct mr_str key_of(const struct mr_bearers *b)
{
	return (struct mr_str){(const char *)(b + 1), b->n};
}

static void leave(struct mr_caller *c, enum mr_bearers_of of)
{
	struct mr_bearers *b = c->bearers[of];
	mr_list_del(&c->in_bearers[of]);
	if (!b || b->walked || !mr_list_empty(&b->sessions))
		return;
	mr_map_del(&c->session->all->bearers[of], key_of(b));
	free(b);
}

static struct mr_bearers *find_or_make(struct mr_map *map, struct mr_str key)
{
	struct mr_bearers *b = mr_map_get(map, key);
	if (b)
		return b;
	b = mr_map_make(map, key, sizeof *b);
	mr_list_init(&b->sessions);
	b->n = key.n;
	return b;
}

void mr_bearers_put(struct mr_caller *c, enum mr_bearers_of of, struct mr_str key)
{
	if (!key.n)
		return;
	c->bearers[of] = find_or_make(&c->session->all->bearers[of], key);
	mr_list_add_tail(&c->bearers[of]->sessions, &c->in_bearers[of]);
}

void mr_bearers_leave(struct mr_caller *c)
{
	for (int of = 0; of < MR_BEARERS_KINDS; of++)
		leave(c, (enum mr_bearers_of)of);
}

void mr_bearers_each(struct mr_sessions *all, enum mr_bearers_of of, struct mr_str key, void (*cb)(struct mr_session *s))
{
	struct mr_bearers *b = mr_map_get(&all->bearers[of], key);
	if (!b || b->walked)
		return;
	b->walked = true;
	MR_LIST_FOR (e, &b->sessions)
		cb(MR_CONTAINER(e - of, struct mr_caller, in_bearers)->session);
	b->walked = false;
	if (!mr_list_empty(&b->sessions))
		return;
	mr_map_del(&all->bearers[of], key_of(b));
	free(b);
}

void mr_bearers_fini(struct mr_sessions *all)
{
	for (int of = 0; of < MR_BEARERS_KINDS; of++)
		mr_map_fini(&all->bearers[of]);
}
