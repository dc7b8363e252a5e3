/* What the subscription index costs: nanoseconds for a change that one watcher of many meets, and for one that nobody watches. Beside it
 * the floor: one random probe in a bare hash table of as many keys of 16 bytes, by the same hash. Prints a table.
 *
 *   matcher [--quick] [some predicates, by a part of their name]
 */
#include <linux/perf_event.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fanout/matcher.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum { TICK = 64, IN_VALUES = 4, TEXT = 27, ROUNDS = 5, BARE_KEY = 16, SIZES = 3, ADDS = 32, HUGE_PAGE = 2 << 20 };

static size_t sizes[SIZES] = {1000, 100000, 1000000};
static size_t lookups = 64 * 1024; /* in a round */

/* Ground */

static uint64_t rnd(uint64_t n)
{
	static uint64_t x = 88172645463325252ull;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (x >> 8) % n;
}

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Of this thread, in user space; -1 where the machine does not count. */
static int instructions_fd(void)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_HARDWARE, .size = sizeof a, .config = PERF_COUNT_HW_INSTRUCTIONS, .exclude_kernel = 1, .exclude_hv = 1};
	return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

static uint64_t instructions(int fd)
{
	uint64_t n = 0;
	return fd >= 0 && read(fd, &n, sizeof n) == (ssize_t)sizeof n ? n : 0;
}

/* What is measured: `make` prepares TICK lookups, not counted; `look` does them, each by itself or all at once. */
struct subject {
	void (*make)(void *arg);
	void (*look)(void *arg, bool at_once);
	void *arg;
};

/* Of each round and size: the sizes take turns, so that what else the machine does meets all of them. */
struct line {
	double ns[ROUNDS][SIZES];
	double instructions;
};

static void measure(const struct subject *s, bool at_once, int fd, double *ns, double *counted)
{
	double spent = 0, n = 0;
	size_t ticks = lookups / TICK;
	for (size_t i = 0; i < ticks; i++) {
		s->make(s->arg);
		uint64_t start = instructions(fd);
		double from = now_ns();
		s->look(s->arg, at_once);
		spent += now_ns() - from;
		n += (double)(instructions(fd) - start);
	}
	*ns = spent / (double)(ticks * TICK);
	*counted = n / (double)(ticks * TICK);
}

/* The bare table */

struct bare_slot {
	char key[BARE_KEY];
	uint64_t value; /* 0: empty */
};

struct bare {
	struct bare_slot *slots;
	size_t cap, n;
	char key[TICK][BARE_KEY];
	uint64_t sum;
};

static void bare_key(char key[BARE_KEY], uint64_t i)
{
	uint64_t w[2] = {i * 0x9e3779b97f4a7c15ULL, i};
	memcpy(key, w, BARE_KEY);
}

static struct bare_slot *bare_find(const struct bare *b, const char key[BARE_KEY], uint64_t hash)
{
	size_t i = hash & (b->cap - 1);
	while (b->slots[i].value && memcmp(b->slots[i].key, key, BARE_KEY) != 0)
		i = (i + 1) & (b->cap - 1);
	return &b->slots[i];
}

static void bare_make(void *arg)
{
	struct bare *b = arg;
	for (int i = 0; i < TICK; i++)
		bare_key(b->key[i], rnd(b->n));
}

static void bare_look(void *arg, bool at_once)
{
	struct bare *b = arg;
	uint64_t hash[TICK];
	for (int i = 0; i < TICK; i++) {
		hash[i] = mr_hash(b->key[i], BARE_KEY);
		if (at_once)
			__builtin_prefetch(&b->slots[hash[i] & (b->cap - 1)]);
		else
			b->sum += bare_find(b, b->key[i], hash[i])->value;
	}
	for (int i = 0; at_once && i < TICK; i++)
		b->sum += bare_find(b, b->key[i], hash[i])->value;
}

/* In huge pages, as the index's own memory. */
static void *bare_slots(size_t n)
{
	size_t whole = (n + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	void *p = aligned_alloc(HUGE_PAGE, whole);
	MR_ASSERT(p);
	(void)madvise(p, whole, MADV_HUGEPAGE);
	return memset(p, 0, whole);
}

static void bare_fill(struct bare *b, size_t n)
{
	char key[BARE_KEY];
	*b = (struct bare){.n = n, .cap = 1024};
	while (b->cap < 2 * n)
		b->cap *= 2;
	b->slots = bare_slots(b->cap * sizeof *b->slots);
	for (size_t i = 0; i < n; i++) {
		bare_key(key, i);
		struct bare_slot *s = bare_find(b, key, mr_hash(key, BARE_KEY));
		memcpy(s->key, key, BARE_KEY);
		s->value = i + 1;
	}
}

/* The index */

enum fields { ID, CHANNEL, NUMBER, AUTHOR, BODY };
static const char MANIFEST[] =
	"{\"entities\":[{\"name\":\"M\",\"fields\":[{\"name\":\"channel\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"},"
	"{\"name\":\"author\",\"type\":\"string\"},{\"name\":\"body\",\"type\":\"string\"}]}]}";

struct index {
	const struct mr_entity *e;
	struct mr_matcher *ix;
	struct mr_watcher *w;
	size_t n, hits;
	struct mr_arena preds;
	const struct scenario *s;
	bool unwatched;
	struct mr_value values[TICK][2][BODY + 1];
	char text[TICK][3][TEXT + 1];
	struct mr_change changes[TICK];
	double add_ns, most_ns, remove_ns, bytes;
};

struct scenario {
	const char *name;
	const struct mr_pred *(*predicate)(struct index *x, size_t i);
};

/* Something like an id. */
static struct mr_value id_text(char *to, char kind, uint64_t i)
{
	int n = snprintf(to, TEXT + 1, "%c%08llx-%016llx", kind, (unsigned long long)(i * 2654435761u & 0xffffffff),
		(unsigned long long)(i * 0x9e3779b97f4a7c15ULL));
	return (struct mr_value){.type = MR_T_STRING, .text = {to, (size_t)n}};
}

static struct mr_value kept_id(struct index *x, char kind, uint64_t i)
{
	return id_text(mr_arena_alloc(&x->preds, TEXT + 1), kind, i);
}

static const struct mr_pred *one_text(struct index *x, size_t i)
{
	struct mr_value v = kept_id(x, 'c', i);
	return mr_pred_compare(&x->preds, MR_P_EQ, CHANNEL, &v);
}

static const struct mr_pred *two_fields(struct index *x, size_t i)
{
	struct mr_value v = kept_id(x, 'c', i), a = kept_id(x, 'a', i);
	return mr_pred_and(&x->preds, mr_pred_compare(&x->preds, MR_P_EQ, CHANNEL, &v), mr_pred_compare(&x->preds, MR_P_EQ, AUTHOR, &a));
}

static const struct mr_pred *number_from(struct index *x, int64_t low, int64_t high)
{
	struct mr_value a = {.type = MR_T_INT, .i = low}, b = {.type = MR_T_INT, .i = high};
	return mr_pred_and(&x->preds, mr_pred_compare(&x->preds, MR_P_GE, NUMBER, &a), mr_pred_compare(&x->preds, MR_P_LT, NUMBER, &b));
}

static const struct mr_pred *range(struct index *x, size_t i)
{
	return number_from(x, 10 * (int64_t)i, 10 * (int64_t)i + 10);
}

static const struct mr_pred *text_and_range(struct index *x, size_t i)
{
	return mr_pred_and(&x->preds, one_text(x, i), number_from(x, 0, INT64_MAX));
}

static int by_value(const void *a, const void *b)
{
	return mr_value_cmp(a, b);
}

static const struct mr_pred *list(struct index *x, size_t i)
{
	struct mr_pred *p = mr_arena_alloc(&x->preds, sizeof *p);
	struct mr_value *v = mr_arena_alloc(&x->preds, IN_VALUES * sizeof *v);
	for (size_t k = 0; k < IN_VALUES; k++)
		v[k] = kept_id(x, 'c', i + k * 10000000);
	qsort(v, IN_VALUES, sizeof *v, by_value);
	*p = (struct mr_pred){.op = MR_P_IN, .field = CHANNEL, .values = v, .n = IN_VALUES};
	return p;
}

static const struct scenario scenarios[] = {
	{"equality of a text", one_text},
	{"equality of two texts", two_fields},
	{"one of four texts", list},
	{"range of a number", range},
	{"equality and range", text_and_range},
};

/* Changes: updates of the body alone. */
static void make_changes(void *arg)
{
	struct index *x = arg;
	for (int k = 0; k < TICK; k++) {
		uint64_t i = rnd(x->n), other = x->unwatched ? 500000000 : x->s->predicate == list ? rnd(IN_VALUES) * 10000000 : 0;
		struct mr_value *was = x->values[k][0], *is = x->values[k][1];
		was[ID] = (struct mr_value){.type = MR_T_UUID};
		was[CHANNEL] = id_text(x->text[k][0], 'c', i + other);
		was[NUMBER] = (struct mr_value){.type = MR_T_INT, .i = (int64_t)(10 * (i + other) + 5)};
		was[AUTHOR] = id_text(x->text[k][1], 'a', i + other);
		was[BODY] = (struct mr_value){.type = MR_T_STRING, .text = MR_STR("what it was")};
		memcpy(is, was, sizeof x->values[k][0]);
		is[BODY].text = MR_STR("what it is");
		x->changes[k] = (struct mr_change){.entity = x->e, .was = {x->e, was}, .is = {x->e, is}};
	}
}

/* What is in the watcher is not read, nor asked for ahead: the caller's own memory is no part of what the index costs. */
static void on_hit(struct mr_watcher *w, const struct mr_change *c, void *arg)
{
	struct index *x = arg;
	x->hits += (size_t)(w - x->w) < x->n;
}

static void look_up(void *arg, bool at_once)
{
	struct index *x = arg;
	size_t step = at_once ? TICK : 1;
	x->hits = 0;
	for (size_t i = 0; i < TICK; i += step)
		mr_matcher_match(x->ix, x->changes + i, step, on_hit, NULL, x);
	MR_ASSERT(x->hits == (x->unwatched ? 0 : TICK));
}

static void shuffle(size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t k = rnd(i), kept = order[k];
		order[k] = order[i - 1];
		order[i - 1] = kept;
	}
}

static void fill(struct index *x, const struct scenario *s, size_t n)
{
	size_t *order = mr_alloc(n * sizeof *order);
	x->ix = mr_matcher_new();
	x->s = s;
	x->n = n;
	x->w = mr_alloc(n * sizeof *x->w);
	shuffle(order, n);
	for (size_t i = 0; i < n; i++)
		x->w[order[i]] =
			(struct mr_watcher){.entity = x->e, .pred = mr_pred_normal(&x->preds, s->predicate(x, order[i])), .owner = x};
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	double from = now_ns(), began = from;
	for (size_t i = 0; i < n; i++) {
		mr_matcher_add(x->ix, &x->w[order[i]]);
		if (i % ADDS != 0)
			continue;
		double now = now_ns();
		x->most_ns = MR_MAX(x->most_ns, now - began);
		began = now;
	}
	x->add_ns = (now_ns() - from) / (double)n;
	x->bytes = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before) / (double)n + sizeof(struct mr_watcher);
	free(order);
}

static void empty(struct index *x)
{
	size_t *order = mr_alloc(x->n * sizeof *order);
	shuffle(order, x->n);
	double from = now_ns();
	for (size_t i = 0; i < x->n; i++)
		mr_matcher_remove(x->ix, &x->w[order[i]]);
	x->remove_ns = (now_ns() - from) / (double)x->n;
	free(order);
	free(x->w);
	mr_matcher_delete(&x->ix);
	mr_arena_fini(&x->preds);
}

/* The table */

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(const double *v)
{
	double sorted[ROUNDS];
	memcpy(sorted, v, sizeof sorted);
	qsort(sorted, ROUNDS, sizeof *sorted, by_double);
	return sorted[ROUNDS / 2];
}

static double median_ns(const struct line *l, int size)
{
	double v[ROUNDS];
	for (int r = 0; r < ROUNDS; r++)
		v[r] = l->ns[r][size];
	return median(v);
}

/* Of the rounds' own ratios. */
static double median_ratio(const struct line *a, int size_a, const struct line *b, int size_b)
{
	double v[ROUNDS];
	for (int r = 0; r < ROUNDS; r++)
		v[r] = a->ns[r][size_a] / b->ns[r][size_b];
	return median(v);
}

static void print_line(const char *name, int at_once, const struct line *l, const struct line *bare)
{
	printf("| %s | %d |", name, at_once ? TICK : 1);
	for (int i = 0; i < SIZES; i++)
		printf(" %.0f |", median_ns(l, i));
	printf(" %.1f | %.1f |", median_ratio(l, SIZES - 1, l, 0), median_ratio(l, SIZES - 1, bare, SIZES - 1));
	if (l->instructions > 0)
		printf(" %.0f |\n", l->instructions);
	else
		printf(" - |\n");
	fflush(stdout);
}

static void bare_lines(struct bare bare[SIZES], struct line lines[2], int round, int fd)
{
	for (int at_once = 0; at_once < 2; at_once++)
		for (int i = 0; i < SIZES; i++) {
			struct subject subject = {bare_make, bare_look, &bare[i]};
			measure(&subject, at_once, fd, &lines[at_once].ns[round][i], &lines[at_once].instructions);
		}
}

static void index_lines(struct index *x, bool unwatched, struct line lines[2], int round, int fd)
{
	for (int at_once = 0; at_once < 2; at_once++)
		for (int i = 0; i < SIZES; i++) {
			struct subject subject = {make_changes, look_up, &x[i]};
			x[i].unwatched = unwatched;
			measure(&subject, at_once, fd, &lines[at_once].ns[round][i], &lines[at_once].instructions);
		}
}

static void run_scenario(struct index *x, const struct scenario *s, struct bare *bare)
{
	struct line floor[2] = {0}, watched[2] = {0}, unwatched[2] = {0};
	char name[64];
	int fd = instructions_fd();
	for (int i = 0; i < SIZES; i++)
		fill(&x[i], s, sizes[i]);
	for (int r = 0; r < ROUNDS; r++) {
		bare_lines(bare, floor, r, fd);
		index_lines(x, false, watched, r, fd);
		index_lines(x, true, unwatched, r, fd);
	}
	for (int i = 0; i < SIZES; i++)
		empty(&x[i]);
	for (int k = 0; k < 2; k++)
		print_line(s->name, k, &watched[k], &floor[k]);
	snprintf(name, sizeof name, "%s, nobody watches", s->name);
	for (int k = 0; k < 2; k++)
		print_line(name, k, &unwatched[k], &floor[k]);
	for (int k = 0; k < 2; k++)
		print_line("(bare probe)", k, &floor[k], &floor[k]);
	if (fd >= 0)
		close(fd);
}

static void print_costs(const struct index *x, const struct scenario *s)
{
	const struct index *most = &x[SIZES - 1];
	printf("| %s | %.0f | %.1f | %.0f | %.0f |\n", s->name, most->add_ns, most->most_ns / 1e6, most->remove_ns, most->bytes);
}

int main(int argc, char **argv)
{
	static struct bare bare[SIZES];
	static struct index x[MR_COUNT(scenarios)][SIZES];
	bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
	const char *only = argc > 1 + quick ? argv[1 + quick] : "";
	struct mr_error err;
	struct mr_app *app = mr_app_read(mr_str(MANIFEST), &err);
	MR_ASSERT(app);
	/* What is counted is what is used, not what a mapping leaves aside for the sake of its alignment. */
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	if (quick)
		lookups /= 4;
	for (int i = 0; i < SIZES; i++)
		bare_fill(&bare[i], sizes[i]);
	printf("| predicates | changes at a time | ns at %zu | ns at %zu | ns at %zu | last : first | : bare probe | instructions |\n"
	       "|---|---|---|---|---|---|---|---|\n",
		sizes[0], sizes[1], sizes[2]);
	for (size_t k = 0; k < MR_COUNT(scenarios); k++) {
		for (int i = 0; i < SIZES; i++)
			x[k][i].e = &app->entities[0];
		if (strstr(scenarios[k].name, only))
			run_scenario(x[k], &scenarios[k], bare);
	}
	printf("\n| %zu predicates | add, ns | longest %d, ms | remove, ns | bytes a watcher |\n|---|---|---|---|---|\n", sizes[SIZES - 1],
		ADDS);
	for (size_t k = 0; k < MR_COUNT(scenarios); k++)
		if (strstr(scenarios[k].name, only))
			print_costs(x[k], &scenarios[k]);
	for (int i = 0; i < SIZES; i++)
		free(bare[i].slots);
	mr_app_drop(&app);
	return 0;
}
