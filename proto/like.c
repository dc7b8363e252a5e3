#include "like.h"

static size_t point_length(struct mr_str s)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	return n < s.n ? n : s.n;
}

static struct mr_str behind(struct mr_str s, size_t n)
{
	return (struct mr_str){s.p + n, s.n - n};
}

bool mr_like_ok(struct mr_str pattern)
{
	size_t backslashes = 0;
	while (backslashes < pattern.n && pattern.p[pattern.n - 1 - backslashes] == '\\')
		backslashes++;
	return pattern.n <= MR_LIKE_MOST && backslashes % 2 == 0;
}

/* One step of both, where the pattern does not stand at "%"; false: they differ here. A byte is as good as a character but for "_". */
static bool step(struct mr_str *text, struct mr_str *pattern)
{
	if (!pattern->n || !text->n)
		return false;
	if (pattern->p[0] == '_') {
		*text = behind(*text, point_length(*text));
		*pattern = behind(*pattern, 1);
		return true;
	}
	size_t at = pattern->p[0] == '\\';
	if (at == pattern->n || pattern->p[at] != text->p[0])
		return false;
	*text = behind(*text, 1);
	*pattern = behind(*pattern, at + 1);
	return true;
}

/* Only the last "%" is ever tried again: what stood before it has found its first place, and any later one would leave less. */
bool mr_like(struct mr_str text, struct mr_str pattern)
{
	struct mr_str again_text = {NULL, 0}, again_pattern = {NULL, 0};
	while (text.n || pattern.n) {
		if (pattern.n && pattern.p[0] == '%') {
			pattern = again_pattern = behind(pattern, 1);
			again_text = text;
		} else if (!step(&text, &pattern)) {
			if (!again_text.n)
				return false;
			text = again_text = behind(again_text, point_length(again_text));
			pattern = again_pattern;
		}
	}
	return true;
}
