/* The matcher's hash tables: from a key to what watches it, in one line of memory a key (up to 41 bytes; two lines next to each other in
 * tables of longer ones). The lines stand in parts, each of a range of hashes: a part has a byte for each of its lines (its tag: something
 * of the hash, or 0 where the line is empty), eight to a word, and a search goes along the words from the one that the hash calls home, to
 * the first that has room (tags beside the table: Kulukundis, "Designing a fast, efficient, cache-friendly hash table, step by step",
 * 2017). So a key that is not there costs a word of the tags, of which a million keep to the caches, and one that is there costs its line
 * besides. A part that is full grows by half, or, when it is large, becomes two (extendible hashing: Fagin, Nievergelt, Pippenger and
 * Strong, 1979): so nobody waits for the move of all lines at once.
 *
 * Lines move when one is added or removed: nothing keeps a pointer to one meanwhile. Who stands in a line finds it again by the upper half
 * of its hash, which is all that decides where it is.
 */
#ifndef MR_MATCHER_TABLE_H
#define MR_MATCHER_TABLE_H

#include "matcher_key.h"
#include "matcher_pool.h"

struct mr_watcher;
struct mr_many;

/* A part of so many words takes 8 MiB: it is moved in some milliseconds. Tests have smaller ones. */
#ifndef MR_PART_WORDS
#define MR_PART_WORDS 16130
#endif

/* MR_WORD_MOST, LEAST: lines of a part in use, for each of its words; the smallest part may have fewer. */
enum { MR_FAR_AT = 1, MR_WORD_LINES = 8, MR_WORD_MOST = 7, MR_WORD_LEAST = 2 };

/* Branches with the same values in the fields of their group. The key follows as far as the line goes, or two of them where a table is
 * wide; one that has no room there is elsewhere. */
struct mr_bucket {
	union {
		struct mr_watcher *lone;
		struct mr_many *many;
		const void *held; /* whichever; NULL: there is nothing in it */
	};
	uint64_t hash;
	uint32_t place; /* of the lone watcher's, else 0 */
	bool is_lone;
	bool is_only; /* the lone watcher is in no other bucket */
	bool is_far;  /* key: a struct mr_far_key, at MR_FAR_AT */
	char key[];
};
_Static_assert((offsetof(struct mr_bucket, key) + MR_FAR_AT) % sizeof(void *) == 0, "whoever looks for leaks finds the far key");

struct mr_far_key {
	char *key;
	size_t n;
};

/* One piece of memory: this, the tags, and from a line's border the lines. */
struct mr_part {
	char *lines; /* buckets */
	uint32_t n, words;
	bool wide;
	uint32_t depth; /* bits of the hash that all of the part have in common, from the highest */
	uint64_t tags[];
};

/* The parts by the highest bits of the hash; one stands in several places, next to each other, while others are deeper. */
struct mr_table {
	struct mr_part **parts;
	size_t n;       /* lines in use */
	uint32_t depth; /* there are 1 << depth places of parts, or none */
	bool wide;      /* set before the first line */
};

/* Bytes of a bucket with its key. */
static inline size_t mr_bucket_size(bool wide)
{
	return (size_t)MR_LINE << wide;
}

/* Bytes of a key that is in its bucket, at most. */
static inline size_t mr_key_room(bool wide)
{
	return mr_bucket_size(wide) - offsetof(struct mr_bucket, key);
}

static inline uint32_t mr_hash_high(uint64_t hash)
{
	return (uint32_t)(hash >> 32);
}

static inline struct mr_part *mr_table_part(const struct mr_table *t, uint32_t high)
{
	return t->parts[(uint64_t)high << t->depth >> 32];
}

static inline uint32_t mr_part_home(const struct mr_part *p, uint32_t high)
{
	return (uint32_t)((uint64_t)(uint32_t)(high << p->depth) * p->words >> 32);
}

static inline uint8_t mr_hash_tag(uint32_t high)
{
	return (uint8_t)high ? (uint8_t)high : 1;
}

/* The highest bit of each byte that is 0; exact. */
static inline uint64_t mr_zero_bytes(uint64_t w)
{
	const uint64_t low7 = UINT64_C(0x7f7f7f7f7f7f7f7f);
	return ~(((w & low7) + low7) | w | low7);
}

static inline uint64_t mr_tags_equal(uint64_t tags, uint8_t tag)
{
	return mr_zero_bytes(tags ^ tag * UINT64_C(0x0101010101010101));
}

static inline struct mr_bucket *mr_word_line(const struct mr_part *p, uint32_t word, uint64_t marks)
{
	size_t line = (size_t)MR_WORD_LINES * word + (size_t)__builtin_ctzll(marks) / 8;
	return (struct mr_bucket *)(p->lines + line * mr_bucket_size(p->wide));
}

static inline uint32_t mr_next_word(const struct mr_part *p, uint32_t word)
{
	return word + 1 == p->words ? 0 : word + 1;
}

/* The first line of its tag, read by nobody yet; NULL when there is none. */
static inline struct mr_bucket *mr_part_guess(const struct mr_part *p, uint32_t high)
{
	for (uint32_t i = mr_part_home(p, high);; i = mr_next_word(p, i)) {
		uint64_t same = mr_tags_equal(p->tags[i], mr_hash_tag(high));
		if (same)
			return mr_word_line(p, i, same);
		if (mr_zero_bytes(p->tags[i]))
			return NULL;
	}
}

static inline struct mr_far_key mr_bucket_far(const struct mr_bucket *b)
{
	struct mr_far_key far;
	memcpy(&far, b->key + MR_FAR_AT, sizeof far);
	return far;
}

static inline const char *mr_bucket_key(const struct mr_bucket *b)
{
	return b->is_far ? mr_bucket_far(b).key : b->key;
}

/* NULL when there is none of this key. */
struct mr_bucket *mr_table_get(const struct mr_table *t, uint64_t hash, const struct mr_key *k);
/* The one that holds this; place: its place. It is in. */
struct mr_bucket *mr_table_holder(const struct mr_table *t, uint32_t high, const void *held, uint32_t place);
/* For a key that is not in yet: an empty line with this hash. The rest is the caller's; nothing is freed that he puts in it. */
struct mr_bucket *mr_table_add(struct mr_table *t, uint64_t hash);
void mr_table_remove(struct mr_table *t, struct mr_bucket *b);
void mr_table_fini(struct mr_table *t);

#endif
