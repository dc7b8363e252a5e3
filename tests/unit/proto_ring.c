/* The ring: one writer and one reader, one step after the other. Races are in ring_threads.c and ring_processes.c. */
#include "tests/unit/vectors.h"

#include <sys/mman.h>
#include <unistd.h>

#include "proto/ring.h"

struct pair {
	struct mr_ring *reader, *writer;
	int fd;
};

static struct pair make(int lanes, size_t size)
{
	struct pair p;
	const char *why;
	p.reader = mr_ring_create(lanes, size, &p.fd);
	assert_non_null(p.reader);
	p.writer = mr_ring_attach(p.fd, 0, &why);
	assert_non_null(p.writer);
	return p;
}

static void fini(struct pair *p)
{
	mr_ring_delete(&p->reader);
	mr_ring_delete(&p->writer);
	close(p->fd);
}

static void token_of(uint64_t n, uint8_t token[MR_TOKEN_BYTES])
{
	memset(token, 0xab, MR_TOKEN_BYTES);
	memcpy(token, &n, sizeof(n));
}

/* A payload that tells its own number and length, so that any torn byte shows. */
static struct mr_str payload_of(uint64_t n, char *space)
{
	size_t len = 8 + (n * 7919) % 600;
	memset(space, (int)(n & 0xff), len);
	memcpy(space, &n, sizeof(n));
	return (struct mr_str){space, len};
}

static bool payload_whole(const uint8_t token[MR_TOKEN_BYTES], const struct mr_buf *b, uint64_t *n)
{
	char want[700];
	uint8_t want_token[MR_TOKEN_BYTES];
	if (b->n < 8)
		return false;
	memcpy(n, b->p, sizeof(*n));
	token_of(*n, want_token);
	return mr_str_eq(mr_buf_view(b), payload_of(*n, want)) && memcmp(token, want_token, MR_TOKEN_BYTES) == 0;
}

static uint64_t publish(struct mr_ring *w, uint64_t n)
{
	char space[700];
	uint8_t token[MR_TOKEN_BYTES];
	token_of(n, token);
	return mr_ring_publish(w, token, payload_of(n, space));
}

static void read_is(struct mr_ring *r, uint64_t want)
{
	struct mr_buf b = {0};
	uint8_t token[MR_TOKEN_BYTES];
	uint64_t position, n = 0;
	assert_int_equal(mr_ring_read(r, 0, token, &b, &position), 1);
	assert_true(payload_whole(token, &b, &n));
	assert_int_equal(n, want);
	mr_buf_fini(&b);
}

static int read_code(struct mr_ring *r)
{
	struct mr_buf b = {0};
	uint8_t token[MR_TOKEN_BYTES];
	uint64_t position;
	int code = mr_ring_read(r, 0, token, &b, &position);
	mr_buf_fini(&b);
	return code;
}

static void passes_records(void **state)
{
	struct pair p = make(2, 4096);
	assert_int_equal(read_code(p.reader), 0);
	for (uint64_t n = 0; n < 1000; n++) {
		uint64_t a = publish(p.writer, 2 * n), b = publish(p.writer, 2 * n + 1);
		assert_true(a && b > a);
		assert_int_equal(mr_ring_state(p.reader, 0, a), MR_SLOT_PENDING);
		read_is(p.reader, 2 * n);
		mr_ring_flip(p.writer, a, MR_SLOT_COMMITTED);
		mr_ring_flip(p.writer, b, MR_SLOT_ABORTED);
		read_is(p.reader, 2 * n + 1);
		assert_int_equal(mr_ring_state(p.reader, 0, a), MR_SLOT_COMMITTED);
		assert_int_equal(mr_ring_state(p.reader, 0, b), MR_SLOT_ABORTED);
		assert_int_equal(read_code(p.reader), 0);
	}
	assert_int_equal(mr_ring_state(p.reader, 0, 0), 0);
	fini(&p);
}

static void sizes(void **state)
{
	struct pair p = make(1, 4096);
	static char big[4096];
	const uint8_t token[MR_TOKEN_BYTES] = {0};
	assert_true(mr_ring_publish(p.writer, token, (struct mr_str){NULL, 0}) != 0);
	assert_true(mr_ring_publish(p.writer, token, (struct mr_str){big, 2048 - 32}) != 0);
	assert_int_equal(mr_ring_publish(p.writer, token, (struct mr_str){big, 2048 - 31}), 0);
	assert_int_equal(mr_ring_publish(p.writer, token, (struct mr_str){big, 4096}), 0);
	mr_ring_flip(p.writer, 0, MR_SLOT_COMMITTED);
	fini(&p);
	int fd;
	assert_null(mr_ring_create(1, 4095, &fd));
	assert_null(mr_ring_create(1, 2048, &fd));
	assert_null(mr_ring_create(0, 4096, &fd));
}

static void lapped_reader_goes_on(void **state)
{
	struct pair p = make(1, 4096);
	uint64_t first = publish(p.writer, 0);
	for (uint64_t n = 1; n < 100; n++)
		publish(p.writer, n);
	assert_int_equal(mr_ring_state(p.reader, 0, first), 0);
	mr_ring_flip(p.writer, first, MR_SLOT_COMMITTED);
	assert_int_equal(read_code(p.reader), -1);
	assert_int_equal(read_code(p.reader), 0);
	publish(p.writer, 777);
	read_is(p.reader, 777);
	fini(&p);
}

static void a_lane_gets_a_new_worker(void **state)
{
	struct pair p = make(1, 4096);
	const char *why;
	uint64_t call;
	enum mr_reason reason;
	uint64_t old = publish(p.writer, 1);
	mr_ring_slice(p.writer, 42, 7);
	mr_ring_reason(p.writer, MR_REASON_MEMORY);
	mr_ring_last(p.reader, 0, &call, &reason);
	assert_true(call == 42 && reason == MR_REASON_MEMORY && mr_ring_since(p.reader, 0) == 7);
	mr_ring_reset_lane(p.reader, 0);
	mr_ring_last(p.reader, 0, &call, &reason);
	assert_true(call == 0 && reason == MR_REASON_NONE);
	/* The former worker, should it live on, harms nobody by what it begins now. */
	assert_int_equal(publish(p.writer, 2), 0);
	mr_ring_flip(p.writer, old, MR_SLOT_COMMITTED);
	mr_ring_slice(p.writer, 43, 8);
	mr_ring_reason(p.writer, MR_REASON_TIME);
	mr_ring_last(p.reader, 0, &call, &reason);
	assert_true(call == 0 && reason == MR_REASON_NONE && mr_ring_since(p.reader, 0) == 0);
	assert_int_equal(mr_ring_state(p.reader, 0, old), MR_SLOT_PENDING);
	struct mr_ring *next = mr_ring_attach(p.fd, 0, &why);
	assert_int_equal(read_code(p.reader), 0);
	publish(next, 3);
	read_is(p.reader, 3);
	mr_ring_delete(&next);
	fini(&p);
}

/* A writer dies in the middle of a record: intent is stored, the tail is not. Nobody reads it, and what it overwrote stays overwritten. */
static void a_torn_record_is_passed_over(void **state)
{
	struct pair p = make(1, 4096);
	const char *why;
	uint64_t *words = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
	uint64_t *intent = words + 32, *tail = words + 33;
	uint64_t first = publish(p.writer, 1), second = publish(p.writer, 2);
	assert_true(*intent == *tail && *tail > second && first == 4096);
	read_is(p.reader, 1);
	*intent = first + 4096 + 40;
	assert_int_equal(mr_ring_state(p.reader, 0, first), 0);
	assert_int_equal(mr_ring_state(p.reader, 0, second), MR_SLOT_PENDING);
	read_is(p.reader, 2);
	assert_int_equal(read_code(p.reader), 0);
	mr_ring_reset_lane(p.reader, 0);
	assert_int_equal(mr_ring_state(p.reader, 0, first), 0);
	assert_int_equal(mr_ring_state(p.reader, 0, second), MR_SLOT_PENDING);
	struct mr_ring *next = mr_ring_attach(p.fd, 0, &why);
	assert_int_equal(read_code(p.reader), 0);
	assert_int_equal(publish(next, 3), first + 4096 + 40);
	read_is(p.reader, 3);
	mr_ring_delete(&next);
	munmap(words, 8192);
	fini(&p);
}

static void attach_refuses_what_does_not_fit(void **state)
{
	struct pair p = make(2, 4096);
	const char *why = NULL;
	assert_null(mr_ring_attach(p.fd, 2, &why));
	assert_string_equal(why, "the ring has no such lane");
	assert_null(mr_ring_attach(p.fd, -1, &why));
	/* Nobody can take the memory away. */
	assert_int_equal(ftruncate(p.fd, 4096), -1);
	uint64_t *head = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
	head[1]++;
	assert_null(mr_ring_attach(p.fd, 0, &why));
	assert_string_equal(why, "the ring has another version");
	head[1]--;
	head[3] *= 2;
	assert_null(mr_ring_attach(p.fd, 0, &why));
	head[3] /= 2;
	head[0] = 0;
	assert_null(mr_ring_attach(p.fd, 0, &why));
	munmap(head, 4096);
	int other = memfd_create("other", 0);
	assert_null(mr_ring_attach(other, 0, &why));
	close(other);
	fini(&p);
}

static void noise_in_the_memory_is_survived(void **state)
{
	struct pair p = make(1, 4096);
	size_t mapped = 256 + 512 + 4096;
	uint64_t *words = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
	struct mr_buf b = {0};
	for (int i = 0; i < 200000; i++) {
		uint8_t token[MR_TOKEN_BYTES];
		uint64_t position = 0;
		/* Behind the head: the lane's own words now and then, data often. */
		size_t at = rand() % 4 ? 96 + (size_t)(rand() % 512) : 32 + (size_t)(rand() % 4);
		words[at] = rand() % 3 ? (uint64_t)(rand() % 9000) : (uint64_t)rand() << 32 | (uint64_t)rand();
		mr_ring_read(p.reader, 0, token, &b, &position);
		mr_ring_state(p.reader, 0, (uint64_t)(rand() % 20000));
	}
	mr_buf_fini(&b);
	munmap(words, mapped);
	fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_records),
		cmocka_unit_test(sizes),
		cmocka_unit_test(lapped_reader_goes_on),
		cmocka_unit_test(a_lane_gets_a_new_worker),
		cmocka_unit_test(a_torn_record_is_passed_over),
		cmocka_unit_test(attach_refuses_what_does_not_fit),
		cmocka_unit_test(noise_in_the_memory_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
