#include "node.h"

#include <stdio.h>
#include <stdlib.h>

#include "node_build.h"

/* Access */

const struct mr_node *mr_node_get(const struct mr_node *n, const char *key)
{
	if (!n || n->kind != MR_MAP)
		return NULL;
	struct mr_str k = mr_str(key);
	for (size_t i = 0; i < n->n; i++)
		if (mr_str_eq(n->items[i].key, k))
			return &n->items[i];
	return NULL;
}

struct mr_str mr_node_str(const struct mr_node *n, const char *key)
{
	const struct mr_node *m = mr_node_get(n, key);
	return m && m->kind == MR_STRING ? m->text : (struct mr_str){NULL, 0};
}

bool mr_node_int(const struct mr_node *n, int64_t *value)
{
	struct mr_decimal d;
	if (!n || (n->kind != MR_NUMBER && n->kind != MR_BIGINT))
		return false;
	return mr_decimal_read(n->text, &d) && mr_decimal_int(&d, value);
}

bool mr_node_double(const struct mr_node *n, double *value)
{
	return n && (n->kind == MR_NUMBER || n->kind == MR_BIGINT) && mr_double_read(n->text, value);
}

bool mr_node_truth(const struct mr_node *n, const char *key)
{
	const struct mr_node *m = mr_node_get(n, key);
	return m && m->kind == MR_BOOL && m->truth;
}

bool mr_node_strict(const struct mr_node *n)
{
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == MR_MAP && n->items[i].key.n && n->items[i].key.p[0] == '$')
			return false;
		if (!mr_node_strict(&n->items[i]))
			return false;
	}
	return true;
}

/* UTF-8 */

/* Length of the character at p, or 0: malformed, overlong, a surrogate, above U+10FFFF, NUL. */
static size_t character(const uint8_t *p, const uint8_t *end)
{
	uint8_t c = p[0];
	size_t left = (size_t)(end - p);
	if (c < 0x80)
		return c != 0;
	if (c < 0xc2)
		return 0;
	if (c < 0xe0)
		return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if (c < 0xf0) {
		uint8_t low = c == 0xe0 ? 0xa0 : 0x80, high = c == 0xed ? 0x9f : 0xbf;
		return left >= 3 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 ? 3 : 0;
	}
	if (c < 0xf5) {
		uint8_t low = c == 0xf0 ? 0x90 : 0x80, high = c == 0xf4 ? 0x8f : 0xbf;
		return left >= 4 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80 ? 4 : 0;
	}
	return 0;
}

/* 8 when eight bytes of ASCII without NUL follow, as nearly always, else 0. */
static size_t plain(const uint8_t *p, const uint8_t *end)
{
	const uint64_t ones = 0x0101010101010101, tops = ones << 7;
	uint64_t w;
	if (end - p < 8)
		return 0;
	memcpy(&w, p, 8);
	return ((w | (w - ones)) & tops) == 0 ? 8 : 0;
}

bool mr_utf8_ok(struct mr_str s)
{
	s = mr_str_solid(s);
	const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;
	while (p < end) {
		size_t n = plain(p, end);
		if (!n)
			n = character(p, end);
		if (!n)
			return false;
		p += n;
	}
	return true;
}

/* Building: members wait on a stack until their container is complete, then move to the arena as one piece. */

void mr_build_push(struct mr_build *b, const struct mr_node *n)
{
	if (b->n == b->cap) {
		b->cap = b->cap ? b->cap + b->cap / 2 : 64;
		b->stack = mr_realloc(b->stack, b->cap * sizeof(*b->stack));
	}
	b->stack[b->n++] = *n;
}

void mr_build_collect(struct mr_build *b, size_t base, struct mr_node *container)
{
	container->n = b->n - base;
	container->items = NULL;
	if (container->n) {
		container->items = mr_arena_alloc(b->arena, container->n * sizeof(*b->stack));
		memcpy(container->items, b->stack + base, container->n * sizeof(*b->stack));
	}
	b->n = base;
}

void mr_build_fini(struct mr_build *b)
{
	free(b->stack);
	*b = (struct mr_build){0};
}

static bool twice_among_many(const struct mr_node *map)
{
	struct mr_map seen = {0};
	bool twice = false;
	for (size_t i = 0; i < map->n && !twice; i++)
		twice = mr_map_put(&seen, map->items[i].key, &map->items[i]) != NULL;
	mr_map_fini(&seen);
	return twice;
}

bool mr_build_key_twice(const struct mr_node *map)
{
	if (map->n > 16)
		return twice_among_many(map);
	for (size_t i = 1; i < map->n; i++)
		for (size_t j = 0; j < i; j++)
			if (mr_str_eq(map->items[i].key, map->items[j].key))
				return true;
	return false;
}

bool mr_build_bigint_ok(struct mr_str digits)
{
	struct mr_str s = digits;
	if (s.n && s.p[0] == '-') {
		s.p++;
		s.n--;
		if (s.n == 1 && s.p[0] == '0')
			return false;
	}
	if (!s.n || s.n > 1000 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

void mr_error_from_node(const struct mr_node *node, struct mr_error *err)
{
	struct mr_str code = mr_node_str(node, "code"), message = mr_node_str(node, "message");
	const struct mr_node *data = mr_node_get(node, "data");
	enum mr_code known = code.p ? mr_code_by_name(code.p, code.n) : MR_OK;
	mr_fail(err, known ? known : MR_INTERNAL, "%.*s", (int)message.n, message.p ? message.p : "");
	if (data && data->kind == MR_MAP && data->raw.n && data->raw.n < sizeof err->data)
		snprintf(err->data, sizeof err->data, "%.*s", (int)data->raw.n, data->raw.p);
}
