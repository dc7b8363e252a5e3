/* Parts are at most 7/8 full and at least a quarter, but for the smallest. Whoever stands behind its home stands behind words that are
 * full; removing moves those forward that lose this by it (Knuth, "Sorting and Searching", 6.4, algorithm R, by words), so that there are
 * no graves. Parts do not become one again: what is left of a table that was large is small parts, until it goes with its group.
 */
#include "matcher_table.h"

#include <stdlib.h>

#include "proto/ground/log.h"
#include "proto/ground/mem.h"

/* DEPTH_MOST: beyond it parts grow; the lower bits are for their homes and tags. ROOMY: as MR_WORD_MOST, after a move. */
enum { DEPTH_MOST = 10, ROOMY = 5 };

/* Memory of a part */

static size_t lines_at(uint32_t words)
{
	return (sizeof(struct mr_part) + words * sizeof(uint64_t) + MR_LINE - 1) / MR_LINE * MR_LINE;
}

static size_t part_size(uint32_t words, bool wide)
{
	return lines_at(words) + (size_t)words * MR_WORD_LINES * mr_bucket_size(wide);
}

static uint32_t words_most(bool wide)
{
	return MR_MAX(MR_PART_WORDS >> wide, 1);
}

/* For n lines in use; a large part has all of its huge pages. */
static uint32_t words_for(uint32_t n, uint32_t depth, bool wide)
{
	uint32_t words = n / ROOMY + 1;
	if (depth < DEPTH_MOST)
		words = MR_MAX(MR_MIN(words, words_most(wide)), n / MR_WORD_MOST + 1);
	size_t size = part_size(words, wide);
	if (size < MR_HUGE_PAGE)
		return words;
	size = (size + MR_HUGE_PAGE - 1) / MR_HUGE_PAGE * MR_HUGE_PAGE;
	return (uint32_t)((size - lines_at(0) - MR_LINE) / (sizeof(uint64_t) + MR_WORD_LINES * mr_bucket_size(wide)));
}

static struct mr_part *make_part(uint32_t n, uint32_t depth, bool wide)
{
	uint32_t words = words_for(n, depth, wide);
	struct mr_part *p = mr_lines_alloc(part_size(words, wide));
	memset(p, 0, lines_at(words));
	p->lines = (char *)p + lines_at(words);
	p->words = words;
	p->depth = depth;
	p->wide = wide;
	mr_lines_hide(p->lines, words * MR_WORD_LINES * mr_bucket_size(wide));
	return p;
}

/* Lines of a part */

static uint64_t used_of(uint64_t tags)
{
	return ~mr_zero_bytes(tags) & UINT64_C(0x8080808080808080);
}

static void set_tag(struct mr_part *p, size_t line, uint8_t tag)
{
	size_t shift = line % MR_WORD_LINES * 8;
	uint64_t *tags = &p->tags[line / MR_WORD_LINES];
	*tags = (*tags & ~(UINT64_C(0xff) << shift)) | (uint64_t)tag << shift;
}

static size_t line_of(const struct mr_part *p, const struct mr_bucket *b)
{
	return (size_t)((const char *)b - p->lines) / mr_bucket_size(p->wide);
}

/* What was in it before is in it still. */
static struct mr_bucket *take_line(struct mr_part *p, uint32_t high)
{
	uint32_t i = mr_part_home(p, high);
	while (!mr_zero_bytes(p->tags[i]))
		i = mr_next_word(p, i);
	struct mr_bucket *b = mr_word_line(p, i, mr_zero_bytes(p->tags[i]));
	set_tag(p, line_of(p, b), mr_hash_tag(high));
	p->n++;
	mr_lines_show(b, mr_bucket_size(p->wide));
	return b;
}

static bool is_upper(const struct mr_part *p, uint32_t high)
{
	return high >> (31 - p->depth) & 1;
}

static uint32_t count_upper(const struct mr_part *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->words; i++)
		for (uint64_t used = used_of(p->tags[i]); used; used &= used - 1)
			n += is_upper(p, mr_hash_high(mr_word_line(p, i, used)->hash));
	return n;
}

/* Those of the lower half of its hashes to one, of the upper half to the other. Homes keep their order, so memory is gone through once. */
static void move_lines(struct mr_part *from, struct mr_part *lower, struct mr_part *upper)
{
	for (uint32_t i = 0; i < from->words; i++)
		for (uint64_t used = used_of(from->tags[i]); used; used &= used - 1) {
			const struct mr_bucket *b = mr_word_line(from, i, used);
			uint32_t high = mr_hash_high(b->hash);
			memcpy(take_line(is_upper(from, high) ? upper : lower, high), b, mr_bucket_size(from->wide));
		}
	free(from);
}

/* Parts of a table */

/* In all places of hashes that begin like this one. */
static void set_part(struct mr_table *t, uint32_t high, struct mr_part *p)
{
	size_t n = (size_t)1 << (t->depth - p->depth), at = (size_t)((uint64_t)high << t->depth >> 32) & ~(n - 1);
	for (size_t i = 0; i < n; i++)
		t->parts[at + i] = p;
}

static void double_parts(struct mr_table *t)
{
	size_t n = (size_t)1 << t->depth;
	t->parts = mr_realloc(t->parts, 2 * n * sizeof *t->parts);
	for (size_t i = n; i-- > 0;)
		t->parts[2 * i] = t->parts[2 * i + 1] = t->parts[i];
	t->depth++;
}

static void resize(struct mr_table *t, struct mr_part *p, uint32_t high)
{
	struct mr_part *to = make_part(p->n, p->depth, p->wide);
	move_lines(p, to, to);
	set_part(t, high, to);
}

static void split(struct mr_table *t, struct mr_part *p, uint32_t high)
{
	uint32_t n_upper = count_upper(p), bit = UINT32_C(1) << (31 - p->depth);
	struct mr_part *lower = make_part(p->n - n_upper, p->depth + 1, p->wide), *upper = make_part(n_upper, p->depth + 1, p->wide);
	if (p->depth == t->depth)
		double_parts(t);
	move_lines(p, lower, upper);
	set_part(t, high & ~bit, lower);
	set_part(t, high | bit, upper);
}

static struct mr_part *part_with_room(struct mr_table *t, uint32_t high)
{
	if (!t->parts) {
		t->parts = mr_alloc(sizeof *t->parts);
		t->parts[0] = make_part(0, 0, t->wide);
	}
	for (;;) {
		struct mr_part *p = mr_table_part(t, high);
		if (p->n < p->words * MR_WORD_MOST)
			return p;
		if (p->words < words_most(p->wide) || p->depth == DEPTH_MOST)
			resize(t, p, high);
		else
			split(t, p, high);
	}
}

/* Finding */

typedef bool is_wanted(const struct mr_bucket *b, const void *arg);

static inline struct mr_bucket *find(const struct mr_part *p, uint32_t high, is_wanted *is, const void *arg)
{
	for (uint32_t i = mr_part_home(p, high);; i = mr_next_word(p, i)) {
		for (uint64_t same = mr_tags_equal(p->tags[i], mr_hash_tag(high)); same; same &= same - 1)
			if (is(mr_word_line(p, i, same), arg))
				return mr_word_line(p, i, same);
		if (mr_zero_bytes(p->tags[i]))
			return NULL;
	}
}

struct wanted {
	uint64_t hash;
	const struct mr_key *key;
};

static bool has_key(const struct mr_bucket *b, const void *arg)
{
	const struct wanted *w = arg;
	return b->hash == w->hash && mr_key_is(mr_bucket_key(b), w->key);
}

struct mr_bucket *mr_table_get(const struct mr_table *t, uint64_t hash, const struct mr_key *k)
{
	uint32_t high = mr_hash_high(hash);
	return t->n ? find(mr_table_part(t, high), high, has_key, &(struct wanted){hash, k}) : NULL;
}

struct holding {
	const void *held;
	uint32_t place;
};

static bool is_held(const struct mr_bucket *b, const void *arg)
{
	const struct holding *h = arg;
	return b->held == h->held && b->place == h->place;
}

struct mr_bucket *mr_table_holder(const struct mr_table *t, uint32_t high, const void *held, uint32_t place)
{
	struct mr_bucket *b = find(mr_table_part(t, high), high, is_held, &(struct holding){held, place});
	MR_ASSERT(b);
	return b;
}

/* Adding and removing */

struct mr_bucket *mr_table_add(struct mr_table *t, uint64_t hash)
{
	uint32_t high = mr_hash_high(hash);
	struct mr_bucket *b = take_line(part_with_room(t, high), high);
	memset(b, 0, mr_bucket_size(t->wide));
	b->hash = hash;
	t->n++;
	return b;
}

static uint32_t words_between(const struct mr_part *p, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + p->words - from;
}

/* A line of word i that may stand in the gap, which is in a word before; or NULL. */
static struct mr_bucket *for_gap(const struct mr_part *p, uint32_t gap, uint32_t i)
{
	for (uint64_t used = used_of(p->tags[i]); used; used &= used - 1) {
		struct mr_bucket *b = mr_word_line(p, i, used);
		uint32_t home = mr_part_home(p, mr_hash_high(b->hash));
		if (words_between(p, home, i) >= words_between(p, gap, i))
			return b;
	}
	return NULL;
}

/* Only where a word was full may others have gone past it. */
static void close_gap(struct mr_part *p, struct mr_bucket *gap)
{
	size_t at = line_of(p, gap);
	bool was_full = !mr_zero_bytes(p->tags[at / MR_WORD_LINES]);
	set_tag(p, at, 0);
	for (uint32_t i = mr_next_word(p, (uint32_t)(at / MR_WORD_LINES)); was_full; i = mr_next_word(p, i)) {
		was_full = !mr_zero_bytes(p->tags[i]);
		struct mr_bucket *b = for_gap(p, (uint32_t)(at / MR_WORD_LINES), i);
		if (!b)
			continue;
		memcpy(gap, b, mr_bucket_size(p->wide));
		set_tag(p, at, mr_hash_tag(mr_hash_high(b->hash)));
		gap = b;
		at = line_of(p, b);
		set_tag(p, at, 0);
	}
	mr_lines_hide(gap, mr_bucket_size(p->wide));
}

void mr_table_remove(struct mr_table *t, struct mr_bucket *b)
{
	uint32_t high = mr_hash_high(b->hash);
	struct mr_part *p = mr_table_part(t, high);
	close_gap(p, b);
	p->n--;
	t->n--;
	if (p->n < p->words * MR_WORD_LEAST && p->words > words_for(p->n, p->depth, p->wide))
		resize(t, p, high);
}

void mr_table_fini(struct mr_table *t)
{
	for (size_t i = 0, n = t->parts ? (size_t)1 << t->depth : 0; i < n; i++)
		if (i == 0 || t->parts[i] != t->parts[i - 1])
			free(t->parts[i]);
	free(t->parts);
	*t = (struct mr_table){0};
}
