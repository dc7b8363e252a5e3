/* The MessagePack decoder. Own code over the bytes: pieces point into the source, memory follows what is there and never what a
 * length claims, and depth is bounded. */
#include <inttypes.h>
#include <stdio.h>

#include "node_build.h"

struct reader {
	const uint8_t *start, *p, *end;
	int max_depth;
	bool strict;
	struct mr_build build;
	struct mr_error *err;
};

enum { EXT_BIGINT = 1 };

static bool refuse(struct reader *r, const char *why)
{
	mr_fail(r->err, MR_BAD_MESSAGE, "Not valid MessagePack at byte %zu: %s.", (size_t)(r->p - r->start), why);
	return false;
}

/* A big-endian number of n bytes. */
static bool take_uint(struct reader *r, int n, uint64_t *u)
{
	if (r->end - r->p < n)
		return refuse(r, "it ends early");
	*u = 0;
	while (n--)
		*u = *u << 8 | *r->p++;
	return true;
}

static bool take_piece(struct reader *r, uint64_t n, struct mr_str *s)
{
	if ((uint64_t)(r->end - r->p) < n)
		return refuse(r, "it ends early");
	*s = (struct mr_str){(const char *)r->p, (size_t)n};
	r->p += n;
	return true;
}

static bool set_int(struct reader *r, struct mr_node *n, bool negative, uint64_t u)
{
	n->kind = MR_NUMBER;
	n->text = negative ? mr_arena_printf(r->build.arena, "%" PRId64, (int64_t)u) : mr_arena_printf(r->build.arena, "%" PRIu64, u);
	return true;
}

static bool read_uint(struct reader *r, struct mr_node *n, int bytes)
{
	uint64_t u;
	return take_uint(r, bytes, &u) && set_int(r, n, false, u);
}

static bool read_int(struct reader *r, struct mr_node *n, int bytes)
{
	uint64_t u;
	if (!take_uint(r, bytes, &u))
		return false;
	/* Sign extension from its width. */
	int64_t i = (int64_t)(u << (64 - 8 * bytes)) >> (64 - 8 * bytes);
	return set_int(r, n, i < 0, (uint64_t)i);
}

static bool read_float(struct reader *r, struct mr_node *n, int bytes)
{
	uint64_t u;
	double d;
	if (!take_uint(r, bytes, &u))
		return false;
	if (bytes == 4) {
		uint32_t u32 = (uint32_t)u;
		float f;
		memcpy(&f, &u32, sizeof(f));
		d = (double)f;
	} else {
		memcpy(&d, &u, sizeof(d));
	}
	struct mr_buf b = {0};
	mr_double_print(&b, d);
	n->kind = MR_NUMBER;
	n->text = mr_arena_str(r->build.arena, mr_buf_view(&b));
	mr_buf_fini(&b);
	return true;
}

static bool read_text(struct reader *r, uint64_t len, struct mr_str *s)
{
	if (!take_piece(r, len, s))
		return false;
	return mr_utf8_ok(*s) || refuse(r, "a string is not UTF-8, or holds a NUL");
}

static bool read_string(struct reader *r, struct mr_node *n, uint64_t len)
{
	n->kind = MR_STRING;
	return read_text(r, len, &n->text);
}

static bool read_sized_string(struct reader *r, struct mr_node *n, int bytes)
{
	uint64_t len;
	return take_uint(r, bytes, &len) && read_string(r, n, len);
}

static bool read_bin(struct reader *r, struct mr_node *n, int bytes)
{
	uint64_t len;
	n->kind = MR_BYTES;
	return take_uint(r, bytes, &len) && take_piece(r, len, &n->text);
}

static bool read_ext(struct reader *r, struct mr_node *n, uint64_t len)
{
	uint64_t type;
	if (!take_uint(r, 1, &type) || !take_piece(r, len, &n->text))
		return false;
	n->kind = MR_BIGINT;
	if (type != EXT_BIGINT || !mr_build_bigint_ok(n->text))
		return refuse(r, "an extension other than a bigint's digits");
	return true;
}

static bool read_sized_ext(struct reader *r, struct mr_node *n, int bytes)
{
	uint64_t len;
	return take_uint(r, bytes, &len) && read_ext(r, n, len);
}

static bool read_value(struct reader *r, struct mr_node *n, int depth);

static bool read_key(struct reader *r, struct mr_str *key)
{
	uint64_t head, len;
	if (!take_uint(r, 1, &head))
		return false;
	if (head >= 0xa0 && head <= 0xbf)
		return read_text(r, head & 0x1f, key);
	if (head < 0xd9 || head > 0xdb)
		return refuse(r, "a map's keys are strings");
	return take_uint(r, 1 << (head - 0xd9), &len) && read_text(r, len, key);
}

static bool read_members(struct reader *r, struct mr_node *n, bool keyed, uint64_t count, int depth)
{
	size_t base = r->build.n;
	if (depth >= r->max_depth)
		return refuse(r, "nested deeper than max_depth");
	n->kind = keyed ? MR_MAP : MR_ARRAY;
	for (; count; count--) {
		struct mr_node member = {0};
		struct mr_str key = {0};
		if (keyed && !read_key(r, &key))
			return false;
		if (r->strict && key.n && key.p[0] == '$')
			return refuse(r, "a key that begins with \"$\"");
		if (!read_value(r, &member, depth + 1))
			return false;
		member.key = key;
		mr_build_push(&r->build, &member);
	}
	mr_build_collect(&r->build, base, n);
	return !keyed || !mr_build_key_twice(n) || refuse(r, "a key occurs twice");
}

static bool read_sized_members(struct reader *r, struct mr_node *n, bool keyed, int bytes, int depth)
{
	uint64_t count;
	return take_uint(r, bytes, &count) && read_members(r, n, keyed, count, depth);
}

static bool read_bool(struct mr_node *n, bool truth)
{
	n->kind = MR_BOOL;
	n->truth = truth;
	return true;
}

/* Heads 0xc0 to 0xdf. */
static bool read_headed(struct reader *r, struct mr_node *n, uint8_t head, int depth)
{
	switch (head) {
	case 0xc0:
		n->kind = MR_NULL;
		return true;
	case 0xc2:
	case 0xc3:
		return read_bool(n, head == 0xc3);
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return read_bin(r, n, 1 << (head - 0xc4));
	case 0xc7:
	case 0xc8:
	case 0xc9:
		return read_sized_ext(r, n, 1 << (head - 0xc7));
	case 0xca:
	case 0xcb:
		return read_float(r, n, head == 0xca ? 4 : 8);
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return read_uint(r, n, 1 << (head - 0xcc));
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return read_int(r, n, 1 << (head - 0xd0));
	case 0xd4:
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		return read_ext(r, n, UINT64_C(1) << (head - 0xd4));
	case 0xd9:
	case 0xda:
	case 0xdb:
		return read_sized_string(r, n, 1 << (head - 0xd9));
	case 0xdc:
	case 0xdd:
		return read_sized_members(r, n, false, head == 0xdc ? 2 : 4, depth);
	case 0xde:
	case 0xdf:
		return read_sized_members(r, n, true, head == 0xde ? 2 : 4, depth);
	default:
		return refuse(r, "an unknown type");
	}
}

static bool read_value(struct reader *r, struct mr_node *n, int depth)
{
	uint64_t head;
	if (!take_uint(r, 1, &head))
		return false;
	if (head < 0x80)
		return set_int(r, n, false, head);
	if (head < 0x90)
		return read_members(r, n, true, head & 0x0f, depth);
	if (head < 0xa0)
		return read_members(r, n, false, head & 0x0f, depth);
	if (head < 0xc0)
		return read_string(r, n, head & 0x1f);
	if (head < 0xe0)
		return read_headed(r, n, (uint8_t)head, depth);
	return set_int(r, n, true, (uint64_t)((int64_t)head - 256));
}

const struct mr_node *mr_msgpack_read(struct mr_arena *a, struct mr_str bytes, int max_depth, bool strict, struct mr_error *err)
{
	bytes = mr_str_solid(bytes);
	const uint8_t *p = (const uint8_t *)bytes.p;
	struct reader r = {.start = p, .p = p, .end = p + bytes.n, .max_depth = max_depth, .strict = strict, .err = err};
	r.build.arena = a;
	struct mr_node *root = mr_arena_alloc(a, sizeof(*root));
	bool ok = read_value(&r, root, 0);
	if (ok && r.p != r.end)
		ok = refuse(&r, "something follows the value");
	mr_build_fini(&r.build);
	return ok ? root : NULL;
}
