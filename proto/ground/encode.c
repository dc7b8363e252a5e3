/* Writers of JSON and MessagePack behind one set of calls; canonical JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "hash.h"
#include "log.h"
#include "node.h"

enum { IN_MAP = 1, BEGUN = 2 };

void mr_enc_init(struct mr_enc *e, struct mr_buf *out, enum mr_encoding encoding)
{
	e->out = out;
	e->encoding = encoding;
	e->after_key = false;
	e->depth = 0;
}

/* Before each value (and, in a map, each key): separator and count. */
static void before_item(struct mr_enc *e)
{
	if (!e->depth)
		return;
	int top = e->depth - 1;
	MR_ASSERT(e->left[top]);
	e->left[top]--;
	if (e->encoding == MR_JSON && e->level[top] & BEGUN)
		mr_buf_char(e->out, ',');
	e->level[top] |= BEGUN;
}

static void before_value(struct mr_enc *e)
{
	if (e->after_key) {
		e->after_key = false;
		return;
	}
	MR_ASSERT(!e->depth || !(e->level[e->depth - 1] & IN_MAP));
	before_item(e);
}

/* Big-endian, n bytes behind a head byte. */
static void put(struct mr_buf *b, uint8_t head, uint64_t u, int n)
{
	char bytes[9] = {(char)head};
	for (int i = n; i > 0; i--, u >>= 8)
		bytes[i] = (char)u;
	mr_buf_add(b, bytes, (size_t)n + 1);
}

static void open_level(struct mr_enc *e, size_t count, uint8_t flags)
{
	MR_ASSERT(e->depth < MR_ENC_DEPTH && count <= UINT32_MAX);
	e->level[e->depth] = flags;
	e->left[e->depth] = (uint32_t)count;
	e->depth++;
}

static void put_count(struct mr_enc *e, size_t n, uint8_t small, uint8_t wide)
{
	if (n < 16)
		mr_buf_char(e->out, (char)(small | n));
	else if (n < 65536)
		put(e->out, wide, n, 2);
	else
		put(e->out, wide + 1, n, 4);
}

void mr_enc_map(struct mr_enc *e, size_t members)
{
	before_value(e);
	open_level(e, members, IN_MAP);
	if (e->encoding == MR_JSON)
		mr_buf_char(e->out, '{');
	else
		put_count(e, members, 0x80, 0xde);
}

void mr_enc_array(struct mr_enc *e, size_t items)
{
	before_value(e);
	open_level(e, items, 0);
	if (e->encoding == MR_JSON)
		mr_buf_char(e->out, '[');
	else
		put_count(e, items, 0x90, 0xdc);
}

void mr_enc_end(struct mr_enc *e)
{
	MR_ASSERT(e->depth && !e->after_key);
	e->depth--;
	MR_ASSERT(!e->left[e->depth]);
	if (e->encoding == MR_JSON)
		mr_buf_char(e->out, e->level[e->depth] & IN_MAP ? '}' : ']');
}

static void put_string(struct mr_enc *e, struct mr_str s)
{
	if (e->encoding == MR_JSON) {
		mr_json_quote(e->out, s);
		return;
	}
	if (s.n < 32)
		mr_buf_char(e->out, (char)(0xa0 | s.n));
	else if (s.n < 256)
		put(e->out, 0xd9, s.n, 1);
	else if (s.n < 65536)
		put(e->out, 0xda, s.n, 2);
	else
		put(e->out, 0xdb, s.n, 4);
	MR_ASSERT(s.n <= UINT32_MAX);
	mr_buf_str(e->out, s);
}

void mr_enc_key(struct mr_enc *e, struct mr_str key)
{
	MR_ASSERT(e->depth && e->level[e->depth - 1] & IN_MAP && !e->after_key);
	before_item(e);
	put_string(e, key);
	if (e->encoding == MR_JSON)
		mr_buf_char(e->out, ':');
	e->after_key = true;
}

void mr_enc_null(struct mr_enc *e)
{
	before_value(e);
	if (e->encoding == MR_JSON)
		mr_buf_z(e->out, "null");
	else
		mr_buf_char(e->out, (char)0xc0);
}

void mr_enc_bool(struct mr_enc *e, bool b)
{
	before_value(e);
	if (e->encoding == MR_JSON)
		mr_buf_z(e->out, b ? "true" : "false");
	else
		mr_buf_char(e->out, (char)(b ? 0xc3 : 0xc2));
}

static void put_unsigned(struct mr_buf *b, uint64_t u)
{
	if (u < 0x80)
		mr_buf_char(b, (char)u);
	else if (u <= UINT8_MAX)
		put(b, 0xcc, u, 1);
	else if (u <= UINT16_MAX)
		put(b, 0xcd, u, 2);
	else if (u <= UINT32_MAX)
		put(b, 0xce, u, 4);
	else
		put(b, 0xcf, u, 8);
}

static void put_int(struct mr_buf *b, int64_t i)
{
	if (i >= 0)
		put_unsigned(b, (uint64_t)i);
	else if (i >= -32)
		mr_buf_char(b, (char)i);
	else if (i >= INT8_MIN)
		put(b, 0xd0, (uint64_t)i, 1);
	else if (i >= INT16_MIN)
		put(b, 0xd1, (uint64_t)i, 2);
	else if (i >= INT32_MIN)
		put(b, 0xd2, (uint64_t)i, 4);
	else
		put(b, 0xd3, (uint64_t)i, 8);
}

void mr_enc_int(struct mr_enc *e, int64_t i)
{
	before_value(e);
	if (e->encoding == MR_JSON)
		mr_buf_printf(e->out, "%" PRId64, i);
	else
		put_int(e->out, i);
}

static void put_double(struct mr_buf *b, double d)
{
	uint64_t u;
	memcpy(&u, &d, sizeof(u));
	put(b, 0xcb, u, 8);
}

static bool is_minus_zero(struct mr_str text)
{
	struct mr_decimal d;
	return text.n && text.p[0] == '-' && mr_decimal_read(text, &d) && !d.n;
}

/* What JSON has no syntax for. Readers of other languages lose the sign of "-0", so it is written the long way as well. */
static const char *special_number(struct mr_str text)
{
	static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
	for (size_t i = 0; i < MR_COUNT(words); i++)
		if (mr_str_is(text, words[i]))
			return words[i];
	return is_minus_zero(text) ? "-0" : NULL;
}

void mr_enc_number(struct mr_enc *e, struct mr_str text)
{
	before_value(e);
	const char *special = special_number(text);
	if (e->encoding == MR_JSON) {
		if (special)
			mr_buf_printf(e->out, "{\"$float\":\"%s\"}", special);
		else
			mr_buf_str(e->out, text);
		return;
	}
	struct mr_decimal d;
	int64_t i;
	uint64_t u;
	double f = 0;
	bool decimal = !special && mr_decimal_read(text, &d);
	if (decimal && mr_decimal_int(&d, &i)) {
		put_int(e->out, i);
		return;
	}
	if (decimal && !d.negative && mr_decimal_magnitude(&d, &u)) {
		put_unsigned(e->out, u);
		return;
	}
	if (!mr_double_read(text, &f))
		f = text.n && text.p[0] == '-' ? -INFINITY : INFINITY; /* above the largest double, as JavaScript reads it */
	put_double(e->out, f);
}

void mr_enc_double(struct mr_enc *e, double d)
{
	if (e->encoding == MR_MSGPACK) {
		before_value(e);
		put_double(e->out, d);
		return;
	}
	char text[40];
	struct mr_buf b = {0};
	mr_double_print(&b, d);
	size_t n = MR_MIN(b.n, sizeof(text));
	memcpy(text, b.p, n);
	mr_buf_fini(&b);
	mr_enc_number(e, (struct mr_str){text, n});
}

void mr_enc_bigint(struct mr_enc *e, struct mr_str digits)
{
	before_value(e);
	if (e->encoding == MR_JSON) {
		mr_buf_z(e->out, "{\"$int\":\"");
		mr_buf_str(e->out, digits);
		mr_buf_z(e->out, "\"}");
		return;
	}
	bool fixed = digits.n == 1 || digits.n == 2 || digits.n == 4 || digits.n == 8 || digits.n == 16;
	if (fixed)
		mr_buf_char(e->out, (char)(0xd4 + __builtin_ctzll(digits.n)));
	else if (digits.n < 256)
		put(e->out, 0xc7, digits.n, 1);
	else
		put(e->out, 0xc8, digits.n, 2);
	MR_ASSERT(digits.n < 65536);
	mr_buf_char(e->out, 1);
	mr_buf_str(e->out, digits);
}

void mr_enc_str(struct mr_enc *e, struct mr_str s)
{
	before_value(e);
	put_string(e, s);
}

void mr_enc_bytes(struct mr_enc *e, struct mr_str s)
{
	before_value(e);
	if (e->encoding == MR_JSON) {
		mr_buf_z(e->out, "{\"$bytes\":\"");
		mr_base64(e->out, s);
		mr_buf_z(e->out, "\"}");
		return;
	}
	MR_ASSERT(s.n <= UINT32_MAX);
	if (s.n < 256)
		put(e->out, 0xc4, s.n, 1);
	else if (s.n < 65536)
		put(e->out, 0xc5, s.n, 2);
	else
		put(e->out, 0xc6, s.n, 4);
	mr_buf_str(e->out, s);
}

void mr_enc_raw(struct mr_enc *e, struct mr_str encoded)
{
	before_value(e);
	mr_buf_str(e->out, encoded);
}

static void enc_items(struct mr_enc *e, const struct mr_node *n)
{
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == MR_MAP)
			mr_enc_key(e, n->items[i].key);
		mr_enc_node(e, &n->items[i]);
	}
	mr_enc_end(e);
}

void mr_enc_node(struct mr_enc *e, const struct mr_node *n)
{
	switch (n->kind) {
	case MR_NULL:
		mr_enc_null(e);
		break;
	case MR_BOOL:
		mr_enc_bool(e, n->truth);
		break;
	case MR_NUMBER:
		mr_enc_number(e, n->text);
		break;
	case MR_BIGINT:
		mr_enc_bigint(e, n->text);
		break;
	case MR_STRING:
		mr_enc_str(e, n->text);
		break;
	case MR_BYTES:
		mr_enc_bytes(e, n->text);
		break;
	case MR_ARRAY:
		mr_enc_array(e, n->n);
		enc_items(e, n);
		break;
	case MR_MAP:
		mr_enc_map(e, n->n);
		enc_items(e, n);
		break;
	}
}

/* JSON text */

void mr_json_quote(struct mr_buf *b, struct mr_str s)
{
	static const char hex[] = "0123456789abcdef", letters[] = "btn?fr";
	s = mr_str_solid(s);
	mr_buf_char(b, '"');
	size_t plain = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		mr_buf_add(b, s.p + plain, i - plain);
		plain = i + 1;
		mr_buf_char(b, '\\');
		if (c >= 0x20) {
			mr_buf_char(b, (char)c);
		} else if (c >= '\b' && c <= '\r' && c != '\v') {
			mr_buf_char(b, letters[c - '\b']);
		} else {
			const char code[] = {'u', '0', '0', hex[c >> 4], hex[c & 15]};
			mr_buf_add(b, code, sizeof(code));
		}
	}
	mr_buf_add(b, s.p + plain, s.n - plain);
	mr_buf_char(b, '"');
}

void mr_json_quote_latin(struct mr_buf *b, struct mr_str s)
{
	struct mr_buf text = {0};
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x80) {
			mr_buf_char(&text, (char)(0xc0 | c >> 6));
			mr_buf_char(&text, (char)(0x80 | (c & 0x3f)));
		} else if (c) {
			mr_buf_char(&text, (char)c);
		}
	}
	mr_json_quote(b, mr_buf_view(&text));
	mr_buf_fini(&text);
}

/* One text for each number: plain digits where that is short, else d.ddde+x. */
static void canonical_number(struct mr_buf *b, struct mr_str text)
{
	struct mr_decimal d;
	const char *special = special_number(text);
	if (special || !mr_decimal_read(text, &d)) {
		mr_buf_printf(b, "{\"$float\":\"%s\"}", special ? special : "NaN");
		return;
	}
	if (!d.n) {
		mr_buf_char(b, '0');
		return;
	}
	struct mr_buf digits = {0};
	mr_decimal_digits(&digits, &d);
	if (d.negative)
		mr_buf_char(b, '-');
	int len = (int)MR_MIN(digits.n, (size_t)INT32_MAX);
	if (d.point > 21 || d.point < -5) {
		mr_buf_char(b, digits.p[0]);
		if (len > 1) {
			mr_buf_char(b, '.');
			mr_buf_add(b, digits.p + 1, digits.n - 1);
		}
		mr_buf_printf(b, "e%+" PRId64, d.point - 1);
	} else if (d.point <= 0) {
		mr_buf_printf(b, "0.%.*s", (int)-d.point, "00000");
		mr_buf_str(b, mr_buf_view(&digits));
	} else if (d.point >= len) {
		mr_buf_str(b, mr_buf_view(&digits));
		mr_buf_printf(b, "%.*s", (int)d.point - len, "000000000000000000000");
	} else {
		mr_buf_add(b, digits.p, (size_t)d.point);
		mr_buf_char(b, '.');
		mr_buf_add(b, digits.p + d.point, digits.n - (size_t)d.point);
	}
	mr_buf_fini(&digits);
}

static int by_key(const void *a, const void *b)
{
	const struct mr_node *const *x = a, *const *y = b;
	return mr_str_cmp((*x)->key, (*y)->key);
}

static void canonical_map(struct mr_buf *b, const struct mr_node *n)
{
	const struct mr_node **sorted = mr_alloc(n->n * sizeof(*sorted));
	for (size_t i = 0; i < n->n; i++)
		sorted[i] = &n->items[i];
	qsort(sorted, n->n, sizeof(*sorted), by_key);
	mr_buf_char(b, '{');
	for (size_t i = 0; i < n->n; i++) {
		if (i)
			mr_buf_char(b, ',');
		mr_json_quote(b, sorted[i]->key);
		mr_buf_char(b, ':');
		mr_json_canonical(b, sorted[i]);
	}
	mr_buf_char(b, '}');
	free(sorted);
}

void mr_json_canonical(struct mr_buf *b, const struct mr_node *n)
{
	struct mr_enc e;
	switch (n->kind) {
	case MR_NUMBER:
		canonical_number(b, n->text);
		break;
	case MR_ARRAY:
		mr_buf_char(b, '[');
		for (size_t i = 0; i < n->n; i++) {
			if (i)
				mr_buf_char(b, ',');
			mr_json_canonical(b, &n->items[i]);
		}
		mr_buf_char(b, ']');
		break;
	case MR_MAP:
		canonical_map(b, n);
		break;
	default:
		mr_enc_init(&e, b, MR_JSON);
		mr_enc_node(&e, n);
	}
}
