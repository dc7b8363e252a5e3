/* Plain JSON text is passed over without being read to a tree: most text is, and most of it nobody looks into. */
#include "node_build.h"

enum { KEYS = 256 /* of all maps that are open */, KEYS_OF_ONE = 64 };

struct skipper {
	const char *p, *end;
	int max_depth;
	size_t n;
	struct mr_str keys[KEYS];
};

static bool skip_value(struct skipper *s, int depth);

static void skip_blanks(struct skipper *s)
{
	s->p = mr_json_blanks(s->p, s->end);
}

static bool take(struct skipper *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* After the backslash. Halves of surrogate pairs are for the reader. */
static bool skip_escape(struct skipper *s)
{
	if (s->p == s->end)
		return false;
	char c = *s->p++;
	if (c != 'u')
		return c && strchr("\"\\/bfnrt", c);
	unsigned u = 0;
	for (int i = 0; i < 4; i++) {
		int digit = s->p < s->end ? mr_hex_digit(*s->p++) : -1;
		if (digit < 0)
			return false;
		u = u * 16 + (unsigned)digit;
	}
	return u != 0 && (u & 0xf800) != 0xd800;
}

static bool skip_string(struct skipper *s)
{
	if (!take(s, '"'))
		return false;
	for (;;) {
		s->p = mr_string_run(s->p, s->end);
		if (take(s, '"'))
			return true;
		if (!take(s, '\\') || !skip_escape(s))
			return false;
	}
}

/* What it means when it is escaped, or begins with a "$", is for the reader. */
static bool skip_key(struct skipper *s, size_t base)
{
	const char *from = s->p + 1;
	if (!take(s, '"'))
		return false;
	s->p = mr_string_run(s->p, s->end);
	struct mr_str key = {from, (size_t)(s->p - from)};
	if (!take(s, '"') || (key.n && key.p[0] == '$') || s->n == KEYS || s->n - base == KEYS_OF_ONE)
		return false;
	for (size_t i = base; i < s->n; i++)
		if (mr_str_eq(s->keys[i], key))
			return false;
	s->keys[s->n++] = key;
	return true;
}

static bool skip_digits(struct skipper *s)
{
	const char *from = s->p;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static bool skip_number(struct skipper *s)
{
	take(s, '-');
	if (!take(s, '0') && !skip_digits(s))
		return false;
	if (take(s, '.') && !skip_digits(s))
		return false;
	if (!take(s, 'e') && !take(s, 'E'))
		return true;
	if (!take(s, '+'))
		take(s, '-');
	return skip_digits(s);
}

static bool skip_word(struct skipper *s, struct mr_str word)
{
	if ((size_t)(s->end - s->p) < word.n || memcmp(s->p, word.p, word.n) != 0)
		return false;
	s->p += word.n;
	return true;
}

static bool skip_member(struct skipper *s, bool keyed, size_t base, int depth)
{
	skip_blanks(s);
	if (keyed) {
		if (!skip_key(s, base))
			return false;
		skip_blanks(s);
		if (!take(s, ':'))
			return false;
	}
	if (!skip_value(s, depth))
		return false;
	skip_blanks(s);
	return true;
}

static bool skip_members(struct skipper *s, char close, int depth)
{
	size_t base = s->n;
	if (depth >= s->max_depth)
		return false;
	s->p++;
	skip_blanks(s);
	if (take(s, close))
		return true;
	do {
		if (!skip_member(s, close == '}', base, depth + 1))
			return false;
	} while (take(s, ','));
	s->n = base;
	return take(s, close);
}

static bool skip_value(struct skipper *s, int depth)
{
	skip_blanks(s);
	if (s->p == s->end)
		return false;
	switch (*s->p) {
	case '{':
		return skip_members(s, '}', depth);
	case '[':
		return skip_members(s, ']', depth);
	case '"':
		return skip_string(s);
	case 't':
		return skip_word(s, MR_STR("true"));
	case 'f':
		return skip_word(s, MR_STR("false"));
	case 'n':
		return skip_word(s, MR_STR("null"));
	default:
		return skip_number(s);
	}
}

const char *mr_json_skip(const char *p, const char *end, int depth, int max_depth)
{
	struct skipper s;
	s.p = p;
	s.end = end;
	s.max_depth = max_depth;
	s.n = 0;
	return skip_value(&s, depth) ? s.p : NULL;
}

static bool is_plain(struct mr_str json, int max_depth)
{
	const char *end = json.p + json.n, *p = mr_utf8_ok(json) ? mr_json_skip(json.p, end, 0, max_depth) : NULL;
	return p && mr_json_blanks(p, end) == end;
}

bool mr_json_ok(struct mr_str json, int max_depth, bool strict, struct mr_error *err)
{
	struct mr_arena a = {0};
	json = mr_str_solid(json);
	bool ok = is_plain(json, max_depth) || mr_json_read(&a, json, max_depth, strict, err);
	mr_arena_fini(&a);
	return ok;
}
