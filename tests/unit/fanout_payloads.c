/* Payloads of the ring between their record and their log row: served, taken back, left pending by a worker that died. */
#include "tests/unit/vectors.h"

#include <unistd.h>

#include "fanout/payloads.h"

struct rig {
	struct mr_payloads *payloads;
	struct mr_ring *ring, *worker;
	int fd;
};

static struct rig make(size_t max_bytes)
{
	struct rig r;
	const char *why;
	r.payloads = mr_payloads_new(max_bytes);
	r.ring = mr_ring_create(1, 4096, &r.fd);
	r.worker = mr_ring_attach(r.fd, 0, &why);
	assert_non_null(r.worker);
	return r;
}

static void fini(struct rig *r)
{
	mr_payloads_delete(&r->payloads);
	mr_ring_delete(&r->worker);
	mr_ring_delete(&r->ring);
	close(r->fd);
}

static const uint8_t *token_of(uint8_t n)
{
	static uint8_t token[MR_TOKEN_BYTES];
	memset(token, n, sizeof token);
	return token;
}

static const char *call_of(uint8_t n)
{
	static char call[16];
	snprintf(call, sizeof call, "%d.0", n);
	return call;
}

/* Attempt n, of call n, through the ring as far as the payloads. Gives its position. */
static uint64_t attempt(struct rig *r, uint8_t n)
{
	char text[96];
	struct mr_buf read = {0};
	uint8_t token[MR_TOKEN_BYTES];
	uint64_t at;
	snprintf(text, sizeof text, "{\"session\":\"s\",\"call\":\"%s\",\"result\":null,\"changes\":[]}", call_of(n));
	assert_true(mr_ring_publish(r->worker, token_of(n), mr_str(text)));
	assert_int_equal(mr_ring_read(r->ring, 0, token, &read, &at), 1);
	mr_payloads_add(r->payloads, token, mr_buf_view(&read), 0, at);
	mr_buf_fini(&read);
	return at;
}

static bool held(struct rig *r, uint8_t n)
{
	return mr_payloads_get(r->payloads, token_of(n)).n > 0;
}

static size_t pinned(struct rig *r, size_t max)
{
	struct mr_buf tokens = {0};
	mr_payloads_pin(r->payloads, r->ring, &tokens, max);
	size_t n = tokens.n / MR_TOKEN_BYTES;
	mr_buf_fini(&tokens);
	return n;
}

/* The log shows the row of an attempt of a call. */
static size_t log_shows(struct rig *r, uint8_t token, uint8_t call)
{
	return mr_payloads_shown(r->payloads, token_of(token), MR_STR("s"), mr_str(call_of(call)));
}

static void rule_16_served_once(void **state)
{
	struct rig r = make(1 << 20);
	mr_ring_flip(r.worker, attempt(&r, 1), MR_SLOT_COMMITTED);
	attempt(&r, 2);
	assert_int_equal(pinned(&r, 10), 2);
	mr_payloads_unpin(r.payloads);
	assert_int_equal(pinned(&r, 1), 1);
	mr_payloads_unpin(r.payloads);
	assert_int_equal(log_shows(&r, 1, 1), 0);
	assert_false(held(&r, 1));
	assert_true(held(&r, 2));
	fini(&r);
}

static void what_was_taken_back_is_not_told_to_postgres(void **state)
{
	struct rig r = make(1 << 20);
	uint64_t one = attempt(&r, 1), two = attempt(&r, 2);
	attempt(&r, 3);
	mr_ring_flip(r.worker, one, MR_SLOT_ABORTED);
	assert_int_equal(pinned(&r, 10), 2);
	assert_false(held(&r, 1));
	/* Postgres was told that we have it: it stays until the tick is over. */
	mr_ring_flip(r.worker, two, MR_SLOT_ABORTED);
	assert_int_equal(mr_payloads_unblock(r.payloads, r.ring, 0), 1);
	assert_true(held(&r, 2));
	mr_payloads_unpin(r.payloads);
	fini(&r);
}

static void rule_10_a_dead_workers_records_wait_for_the_log(void **state)
{
	struct rig r = make(1 << 20);
	mr_ring_flip(r.worker, attempt(&r, 1), MR_SLOT_COMMITTED);
	mr_ring_flip(r.worker, attempt(&r, 2), MR_SLOT_ABORTED);
	for (uint8_t n = 3; n < 6; n++)
		attempt(&r, n);
	assert_int_equal(mr_payloads_unblock(r.payloads, r.ring, 0), 3);
	assert_false(held(&r, 2));
	assert_int_equal(mr_payloads_unblock(r.payloads, r.ring, 0), 0);
	/* The lane's next life says nothing about them. */
	mr_ring_reset_lane(r.ring, 0);
	const char *why;
	mr_ring_delete(&r.worker);
	r.worker = mr_ring_attach(r.fd, 0, &why);
	mr_ring_flip(r.worker, attempt(&r, 6), MR_SLOT_COMMITTED);

	assert_int_equal(log_shows(&r, 1, 1), 0);
	assert_int_equal(log_shows(&r, 3, 3), 1); /* committed */
	assert_int_equal(log_shows(&r, 7, 4), 1); /* another attempt of its call: it was not */
	assert_int_equal(log_shows(&r, 8, 8), 0);
	assert_false(held(&r, 3) || held(&r, 4));
	assert_true(held(&r, 5) && held(&r, 6));
	/* Somebody else's row is about no call. */
	assert_int_equal(mr_payloads_shown(r.payloads, token_of(0), (struct mr_str){0}, (struct mr_str){0}), 0);
	assert_int_equal(log_shows(&r, 5, 5), 1);
	assert_int_equal(log_shows(&r, 5, 5), 0);
	assert_int_equal(log_shows(&r, 6, 6), 0);
	fini(&r);
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
	struct rig r = make(1000);
	for (uint8_t n = 1; n <= 3; n++)
		attempt(&r, n);
	assert_int_equal(mr_payloads_unblock(r.payloads, r.ring, 0), 3);
	for (uint8_t n = 4; n <= 20; n++)
		attempt(&r, n);
	assert_false(held(&r, 1) || held(&r, 3));
	assert_true(held(&r, 20));
	assert_int_equal(log_shows(&r, 1, 1), 0); /* settled by nobody: it is not counted */
	fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_16_served_once),
		cmocka_unit_test(what_was_taken_back_is_not_told_to_postgres),
		cmocka_unit_test(rule_10_a_dead_workers_records_wait_for_the_log),
		cmocka_unit_test(the_oldest_go_when_there_are_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
