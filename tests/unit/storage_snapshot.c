/* Snapshots and positions: pure, and they take any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/ground/hash.h"
#include "storage/snapshot.h"

static struct mr_snapshot snapshot(const char *text)
{
	struct mr_snapshot s;
	assert_true(mr_snapshot_read(mr_str(text), &s));
	return s;
}

static void reads_and_prints(void **state)
{
	const char *texts[] = {"1:1:", "730:732:730,731", "3:18446744073709551615:3,4,18446744073709551614", "5:9:"};
	for (size_t i = 0; i < MR_COUNT(texts); i++) {
		struct mr_snapshot s = snapshot(texts[i]);
		struct mr_buf b = {0};
		mr_snapshot_print(&b, &s);
		assert_string_equal(b.p, texts[i]);
		mr_buf_fini(&b);
		mr_snapshot_fini(&s);
	}
	struct mr_snapshot s = snapshot("3:9:4,4,5");
	assert_int_equal(s.n, 2);
	mr_snapshot_fini(&s);
}

static void refuses_what_is_none(void **state)
{
	const char *texts[] = {"", ":", "::", "1", "1:", "1:2", "0:0:", "0:5:", "5:4:", "1:2:1,", "1:2:,1", "1:2:,", "1:2:2", "3:9:2",
		"3:9:9", "3:9:5,4", " 1:2:", "1:2: ", "1:2:1 ", "+1:2:", "-1:2:", "1:2:-1", "1:2:0x1",
		"1:18446744073709551616:", "1:99999999999999999999999:", "1:2:1:", "1:2:\n", "a:b:c", "1::2",
		"18446744073709551616:18446744073709551617:"};
	for (size_t i = 0; i < MR_COUNT(texts); i++) {
		struct mr_snapshot s;
		if (mr_snapshot_read(mr_str(texts[i]), &s))
			fail_msg("'%s' was taken for a snapshot", texts[i]);
		assert_null(s.xip);
	}
	struct mr_snapshot s;
	assert_false(mr_snapshot_read((struct mr_str){NULL, 0}, &s));
	assert_false(mr_snapshot_read((struct mr_str){"1:2:\0", 5}, &s));
}

static void survives_noise(void **state)
{
	static const char letters[] = "0123456789:,:,- \n";
	for (int i = 0; i < 200000; i++) {
		char text[24];
		size_t n = (size_t)(rand() % (int)sizeof(text));
		for (size_t k = 0; k < n; k++)
			text[k] = letters[rand() % (int)(sizeof(letters) - 1)];
		struct mr_snapshot s;
		if (!mr_snapshot_read((struct mr_str){text, n}, &s))
			continue;
		for (size_t k = 0; k < s.n; k++)
			assert_true(s.xip[k] >= s.xmin && s.xip[k] < s.xmax && (!k || s.xip[k] > s.xip[k - 1]));
		mr_snapshot_fini(&s);
	}
}

static void sees(void **state)
{
	struct mr_snapshot s = snapshot("10:20:10,12,19");
	const uint64_t seen[] = {1, 9, 11, 13, 18}, unseen[] = {10, 12, 19, 20, 21, UINT64_MAX};
	for (size_t i = 0; i < MR_COUNT(seen); i++)
		assert_true(mr_snapshot_sees(&s, seen[i]));
	for (size_t i = 0; i < MR_COUNT(unseen); i++)
		assert_false(mr_snapshot_sees(&s, unseen[i]));
	mr_snapshot_fini(&s);
}

static struct mr_snapshot random_snapshot(void)
{
	struct mr_snapshot s = {.xmin = 1 + (uint64_t)(rand() % 4)};
	s.xmax = s.xmin + (uint64_t)(rand() % 5);
	s.xip = mr_alloc(8 * sizeof(*s.xip));
	for (uint64_t xid = s.xmin; xid < s.xmax; xid++)
		if (rand() % 2)
			s.xip[s.n++] = xid;
	return s;
}

static void within_is_inclusion(void **state)
{
	for (int i = 0; i < 100000; i++) {
		struct mr_snapshot a = random_snapshot(), b = random_snapshot();
		bool expected = true;
		for (uint64_t xid = 1; xid < 12; xid++)
			expected &= !mr_snapshot_sees(&a, xid) || mr_snapshot_sees(&b, xid);
		if (mr_snapshot_within(&a, &b) != expected) {
			struct mr_buf text = {0};
			mr_snapshot_print(&text, &a);
			mr_buf_z(&text, " within ");
			mr_snapshot_print(&text, &b);
			fail_msg("%s should be %d", text.p, expected);
		}
		mr_snapshot_fini(&a);
		mr_snapshot_fini(&b);
	}
}

static void copies(void **state)
{
	struct mr_snapshot a = snapshot("3:9:4,5"), b = {0}, c = snapshot("7:7:");
	mr_snapshot_copy(&b, &a);
	mr_snapshot_copy(&b, &b);
	assert_int_equal(b.n, 2);
	assert_ptr_not_equal(a.xip, b.xip);
	mr_snapshot_copy(&b, &c);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.xmin, 7);
	mr_snapshot_fini(&a);
	mr_snapshot_fini(&b);
	mr_snapshot_fini(&c);
}

/* ---- positions ---- */

#define SECRET MR_STR("a secret of more than thirty-two bytes")

static struct mr_position position(const char *text)
{
	return (struct mr_position){
		.system = 7390125817251812345, .timeline = 3, .seq = 123456789, .tag = 0xfedcba9876543210, .snapshot = snapshot(text)};
}

static void position_round_trip(void **state)
{
	const char *texts[] = {"1:1:", "730:732:730,731", "3:18446744073709551615:3,4,18446744073709551614"};
	for (size_t i = 0; i < MR_COUNT(texts); i++) {
		struct mr_position p = position(texts[i]), q = {0};
		struct mr_buf b = {0}, snap = {0};
		mr_buf_z(&b, "kept");
		mr_position_print(&b, &p, SECRET);
		assert_memory_equal(b.p, "kept", 4);
		assert_true(mr_position_read((struct mr_str){b.p + 4, b.n - 4}, SECRET, &q));
		assert_true(q.system == p.system && q.timeline == p.timeline && q.seq == p.seq && q.tag == p.tag);
		mr_snapshot_print(&snap, &q.snapshot);
		assert_string_equal(snap.p, texts[i]);
		mr_buf_fini(&b);
		mr_buf_fini(&snap);
		mr_position_fini(&p);
		mr_position_fini(&q);
	}
}

static void refuse(struct mr_str text, struct mr_str secret)
{
	struct mr_position p = position("3:9:4,5");
	assert_false(mr_position_read(text, secret, &p));
	assert_int_equal(p.seq, 123456789);
	assert_int_equal(p.snapshot.n, 2);
	mr_position_fini(&p);
}

static void rule_19_forged_positions(void **state)
{
	struct mr_position p = position("730:740:730,731");
	struct mr_buf b = {0};
	mr_position_print(&b, &p, SECRET);
	struct mr_str good = mr_buf_view(&b);
	for (size_t i = 0; i < good.n; i++) {
		char *bad = mr_strndup(good.p, good.n);
		for (int bit = 0; bit < 8; bit++) {
			bad[i] = (char)(good.p[i] ^ (1 << bit));
			/* The last character of base64 carries bits that no byte uses. */
			if (i + 1 < good.n)
				refuse((struct mr_str){bad, good.n}, SECRET);
		}
		free(bad);
		refuse((struct mr_str){good.p, i}, SECRET);
		refuse((struct mr_str){good.p + i + 1, good.n - i - 1}, SECRET);
	}
	refuse(good, MR_STR("another secret of thirty-two bytes!!"));
	refuse(MR_STR(""), SECRET);
	refuse(MR_STR("."), SECRET);
	refuse(MR_STR("........................................"), SECRET);
	mr_buf_char(&b, 'A');
	refuse(mr_buf_view(&b), SECRET);
	char *large = mr_alloc(1 << 20);
	memset(large, 'A', 1 << 20);
	refuse((struct mr_str){large, 1 << 20}, SECRET);
	free(large);
	mr_buf_fini(&b);
	mr_position_fini(&p);
}

/* Signed with the secret, but not of our making: another version, or fields that do not fit. */
static void rule_19_signed_nonsense(void **state)
{
	for (int i = 0; i < 20000; i++) {
		struct mr_buf text = {0}, data = {0};
		char bytes[40];
		uint8_t mac[32];
		size_t n = 1 + (size_t)(rand() % 39);
		for (size_t k = 0; k < n; k++)
			bytes[k] = (char)(rand() % 3 ? rand() % 8 : rand());
		bytes[0] = (char)(rand() % 8 ? 1 : rand());
		mr_base64url(&text, (struct mr_str){bytes, n});
		mr_buf_z(&data, "millrace position\n");
		mr_buf_str(&data, mr_buf_view(&text));
		mr_hmac_sha256(SECRET, mr_buf_view(&data), mac);
		mr_buf_char(&text, '.');
		mr_base64url(&text, (struct mr_str){(char *)mac, 16});
		struct mr_position p = {0};
		if (mr_position_read(mr_buf_view(&text), SECRET, &p)) {
			assert_true(p.seq >= 0 && p.snapshot.xmin > 0 && p.snapshot.xmin <= p.snapshot.xmax);
			for (size_t k = 0; k < p.snapshot.n; k++)
				assert_true(!mr_snapshot_sees(&p.snapshot, p.snapshot.xip[k]));
		}
		mr_position_fini(&p);
		mr_buf_fini(&text);
		mr_buf_fini(&data);
	}
}

/* A snapshot that does not fit becomes one that has seen less. */
static void rules_19_20_thousands_running(void **state)
{
	struct mr_position p = position("1000:100000:"), q = {0};
	p.snapshot.n = 20000;
	p.snapshot.xip = mr_alloc(p.snapshot.n * sizeof(uint64_t));
	for (size_t i = 0; i < p.snapshot.n; i++)
		p.snapshot.xip[i] = 1000 + i * 3;
	struct mr_buf b = {0};
	mr_position_print(&b, &p, SECRET);
	assert_true(b.n <= 4096);
	assert_true(mr_position_read(mr_buf_view(&b), SECRET, &q));
	assert_true(mr_snapshot_within(&q.snapshot, &p.snapshot));
	p.snapshot.n = 1500;
	mr_buf_reset(&b);
	mr_position_print(&b, &p, SECRET);
	assert_true(b.n <= 4096);
	assert_true(mr_position_read(mr_buf_view(&b), SECRET, &q));
	assert_int_equal(q.snapshot.n, 1500);
	mr_buf_fini(&b);
	mr_position_fini(&p);
	mr_position_fini(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_prints),
		cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(survives_noise),
		cmocka_unit_test(sees),
		cmocka_unit_test(within_is_inclusion),
		cmocka_unit_test(copies),
		cmocka_unit_test(position_round_trip),
		cmocka_unit_test(rule_19_forged_positions),
		cmocka_unit_test(rule_19_signed_nonsense),
		cmocka_unit_test(rules_19_20_thousands_running),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
