/* The JSON decoder: RFC 8259, with the value language's one-key maps. */
#include <limits.h>

#include "node_build.h"

struct reader {
	const char *start, *p, *end;
	int max_depth;
	int levels;        /* containers below are passed over: they get no items */
	struct mr_str but; /* so are those of this member of the whole */
	bool strict;
	struct mr_build build;
	struct mr_error *err;
};

static bool refuse(struct reader *r, const char *why)
{
	mr_fail(r->err, MR_BAD_MESSAGE, "Not valid JSON at byte %zu: %s.", (size_t)(r->p - r->start), why);
	return false;
}

static void skip_blanks(struct reader *r)
{
	r->p = mr_json_blanks(r->p, r->end);
}

static bool take(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

/* Strings */

static bool hex4(struct reader *r, unsigned *u)
{
	if (r->end - r->p < 4)
		return refuse(r, "an unfinished \\u escape");
	*u = 0;
	for (int i = 0; i < 4; i++, r->p++) {
		int digit = mr_hex_digit(*r->p);
		if (digit < 0)
			return refuse(r, "a \\u escape needs four hex digits");
		*u = *u * 16 + (unsigned)digit;
	}
	return true;
}

static char *put_character(char *to, unsigned u)
{
	if (u < 0x80) {
		*to++ = (char)u;
	} else if (u < 0x800) {
		*to++ = (char)(0xc0 | u >> 6);
		*to++ = (char)(0x80 | (u & 63));
	} else if (u < 0x10000) {
		*to++ = (char)(0xe0 | u >> 12);
		*to++ = (char)(0x80 | (u >> 6 & 63));
		*to++ = (char)(0x80 | (u & 63));
	} else {
		*to++ = (char)(0xf0 | u >> 18);
		*to++ = (char)(0x80 | (u >> 12 & 63));
		*to++ = (char)(0x80 | (u >> 6 & 63));
		*to++ = (char)(0x80 | (u & 63));
	}
	return to;
}

static bool unicode_escape(struct reader *r, char **to)
{
	unsigned u, low;
	if (!hex4(r, &u))
		return false;
	if (u == 0)
		return refuse(r, "strings do not hold U+0000");
	if (u >= 0xdc00 && u < 0xe000)
		return refuse(r, "a lone surrogate");
	if (u >= 0xd800 && u < 0xdc00) {
		if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
			return refuse(r, "a lone surrogate");
		r->p += 2;
		if (!hex4(r, &low))
			return false;
		if (low < 0xdc00 || low >= 0xe000)
			return refuse(r, "a lone surrogate");
		u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
	}
	*to = put_character(*to, u);
	return true;
}

/* After the backslash. What is written is never longer than its escape. */
static bool escape(struct reader *r, char **to)
{
	static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	if (r->p == r->end)
		return refuse(r, "an unfinished string");
	char c = *r->p;
	if (c == 'u') {
		r->p++;
		return unicode_escape(r, to);
	}
	const char *at = c ? strchr(letters, c) : NULL;
	if (!at)
		return refuse(r, "an unknown escape");
	r->p++;
	*(*to)++ = means[at - letters];
	return true;
}

/* From the first backslash on: copies to the arena. */
static bool read_escaped(struct reader *r, const char *begin, struct mr_str *s)
{
	const char *close = r->p;
	while (close < r->end && *close != '"')
		close += *close == '\\' ? 2 : 1;
	if (close >= r->end)
		return refuse(r, "an unfinished string");
	char *copy = mr_arena_alloc(r->build.arena, (size_t)(close - begin) + 1), *to = copy;
	memcpy(to, begin, (size_t)(r->p - begin));
	to += r->p - begin;
	while (*r->p != '"') {
		if (*r->p == '\\') {
			r->p++;
			if (!escape(r, &to))
				return false;
		} else if ((unsigned char)*r->p < 0x20) {
			return refuse(r, "a control character in a string");
		} else {
			*to++ = *r->p++;
		}
	}
	r->p++;
	*s = (struct mr_str){copy, (size_t)(to - copy)};
	return true;
}

static bool read_string(struct reader *r, struct mr_str *s)
{
	if (!take(r, '"'))
		return refuse(r, "a string was expected");
	const char *begin = r->p;
	r->p = mr_string_run(begin, r->end);
	if (r->p == r->end)
		return refuse(r, "an unfinished string");
	if ((unsigned char)*r->p < 0x20)
		return refuse(r, "a control character in a string");
	if (*r->p == '\\')
		return read_escaped(r, begin, s);
	*s = (struct mr_str){begin, (size_t)(r->p - begin)};
	r->p++;
	return true;
}

/* Numbers and words */

static bool digits(struct reader *r)
{
	const char *from = r->p;
	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return r->p > from;
}

static bool read_number(struct reader *r, struct mr_node *n)
{
	const char *begin = r->p;
	take(r, '-');
	if (!take(r, '0') && !digits(r))
		return refuse(r, "a value was expected");
	if (take(r, '.') && !digits(r))
		return refuse(r, "digits must follow the point");
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
		r->p++;
		if (!take(r, '+'))
			take(r, '-');
		if (!digits(r))
			return refuse(r, "digits must follow the exponent's letter");
	}
	n->kind = MR_NUMBER;
	n->text = (struct mr_str){begin, (size_t)(r->p - begin)};
	return true;
}

static bool read_word(struct reader *r, struct mr_node *n)
{
	static const struct {
		const char *text;
		enum mr_kind kind;
		bool truth;
	} words[] = {{"true", MR_BOOL, true}, {"false", MR_BOOL, false}, {"null", MR_NULL, false}};
	for (size_t i = 0; i < MR_COUNT(words); i++) {
		size_t len = strlen(words[i].text);
		if ((size_t)(r->end - r->p) < len || memcmp(r->p, words[i].text, len) != 0)
			continue;
		r->p += len;
		n->kind = words[i].kind;
		n->truth = words[i].truth;
		return true;
	}
	return refuse(r, "a value was expected");
}

/* The one-key maps. 1: taken; 0: not one of them; -1: one of them, with something else in it. */

static int take_bytes(struct reader *r, struct mr_node *n, struct mr_str text)
{
	struct mr_buf b = {0};
	bool ok = mr_base64_read(&b, text);
	if (ok) {
		n->kind = MR_BYTES;
		n->text = mr_arena_str(r->build.arena, mr_buf_view(&b));
	}
	mr_buf_fini(&b);
	return ok ? 1 : -1;
}

static int take_float(struct mr_node *n, struct mr_str text)
{
	static const char *const words[] = {"NaN", "Infinity", "-Infinity", "-0"};
	for (size_t i = 0; i < MR_COUNT(words); i++)
		if (mr_str_is(text, words[i])) {
			n->kind = MR_NUMBER;
			n->text = text;
			return 1;
		}
	return -1;
}

static int take_special(struct reader *r, struct mr_node *n)
{
	if (n->n != 1)
		return 0;
	const struct mr_node *m = &n->items[0];
	bool is_int = mr_str_is(m->key, "$int"), is_bytes = mr_str_is(m->key, "$bytes"), is_float = mr_str_is(m->key, "$float");
	if (!is_int && !is_bytes && !is_float)
		return 0;
	if (m->kind != MR_STRING)
		return -1;
	struct mr_str text = m->text;
	if (is_bytes)
		return take_bytes(r, n, text);
	if (is_float)
		return take_float(n, text);
	if (!mr_build_bigint_ok(text))
		return -1;
	n->kind = MR_BIGINT;
	n->text = text;
	return 1;
}

static bool finish_map(struct reader *r, struct mr_node *n)
{
	if (mr_build_key_twice(n))
		return refuse(r, "a key occurs twice");
	int special = take_special(r, n);
	if (special > 0) {
		n->items = NULL;
		n->n = 0;
		return true;
	}
	for (size_t i = 0; r->strict && i < n->n; i++)
		if (n->items[i].key.n && n->items[i].key.p[0] == '$')
			return refuse(r, "a key that begins with \"$\"");
	return true;
}

/* Values */

static bool read_value(struct reader *r, struct mr_node *n, int depth);

static bool read_member(struct reader *r, bool keyed, int depth)
{
	struct mr_node member = {0};
	struct mr_str key = {0};
	skip_blanks(r);
	if (keyed) {
		if (!read_string(r, &key))
			return false;
		skip_blanks(r);
		if (!take(r, ':'))
			return refuse(r, "a colon was expected");
	}
	int levels = r->levels;
	if (r->but.n && depth == 1 && mr_str_eq(key, r->but))
		r->levels = 0;
	if (!read_value(r, &member, depth))
		return false;
	r->levels = levels;
	member.key = key;
	mr_build_push(&r->build, &member);
	skip_blanks(r);
	return true;
}

static bool read_members(struct reader *r, struct mr_node *n, char close, int depth)
{
	size_t base = r->build.n;
	bool keyed = close == '}';
	if (depth >= r->max_depth)
		return refuse(r, "nested deeper than max_depth");
	r->p++;
	n->kind = keyed ? MR_MAP : MR_ARRAY;
	skip_blanks(r);
	if (take(r, close))
		return true;
	do {
		if (!read_member(r, keyed, depth + 1))
			return false;
	} while (take(r, ','));
	if (!take(r, close))
		return refuse(r, "a comma or the closing bracket was expected");
	mr_build_collect(&r->build, base, n);
	return !keyed || finish_map(r, n);
}

/* Passed over, if that is enough. If it cannot be, neither is what is in it: each byte is looked at twice at most. */
static bool read_container(struct reader *r, struct mr_node *n, char close, int depth)
{
	int levels = r->levels;
	const char *end = depth < levels ? NULL : mr_json_skip(r->p, r->end, depth, r->max_depth);
	if (end) {
		n->kind = close == '}' ? MR_MAP : MR_ARRAY;
		r->p = end;
		return true;
	}
	if (depth >= levels)
		r->levels = INT_MAX;
	bool ok = read_members(r, n, close, depth);
	r->levels = levels;
	return ok;
}

static bool read_value(struct reader *r, struct mr_node *n, int depth)
{
	skip_blanks(r);
	if (r->p == r->end)
		return refuse(r, "a value was expected");
	const char *begin = r->p;
	bool ok;
	switch (*r->p) {
	case '{':
		ok = read_container(r, n, '}', depth);
		break;
	case '[':
		ok = read_container(r, n, ']', depth);
		break;
	case '"':
		n->kind = MR_STRING;
		ok = read_string(r, &n->text);
		break;
	case 't':
	case 'f':
	case 'n':
		ok = read_word(r, n);
		break;
	default:
		ok = read_number(r, n);
	}
	n->raw = (struct mr_str){begin, (size_t)(r->p - begin)};
	return ok;
}

static const struct mr_node *read_all(struct reader *r, struct mr_arena *a, struct mr_str json)
{
	json = mr_str_solid(json);
	r->start = r->p = json.p;
	r->end = json.p + json.n;
	r->build.arena = a;
	if (!mr_utf8_ok(json)) {
		mr_fail(r->err, MR_BAD_MESSAGE, "Not valid JSON: it is not UTF-8, or holds a NUL.");
		return NULL;
	}
	struct mr_node *root = mr_arena_alloc(a, sizeof(*root));
	bool ok = read_value(r, root, 0);
	skip_blanks(r);
	if (ok && r->p != r->end)
		ok = refuse(r, "something follows the value");
	mr_build_fini(&r->build);
	return ok ? root : NULL;
}

const struct mr_node *mr_json_read(struct mr_arena *a, struct mr_str json, int max_depth, bool strict, struct mr_error *err)
{
	struct reader r = {.max_depth = max_depth, .levels = INT_MAX, .strict = strict, .err = err};
	return read_all(&r, a, json);
}

const struct mr_node *mr_json_outline(struct mr_arena *a, struct mr_str json, int levels, int max_depth, struct mr_error *err)
{
	struct reader r = {.max_depth = max_depth, .levels = levels, .err = err};
	return read_all(&r, a, json);
}

const struct mr_node *mr_json_read_but(struct mr_arena *a, struct mr_str json, const char *key, int max_depth, struct mr_error *err)
{
	struct reader r = {.max_depth = max_depth, .levels = INT_MAX, .but = mr_str(key), .err = err};
	return read_all(&r, a, json);
}
