/* The ground: bytes, arenas, errors, hashes, the map, the loop, the control socket. */
#include "tests/unit/vectors.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/ground/due.h"
#include "proto/ground/hash.h"
#include "proto/ground/loop.h"
#include "proto/link.h"

/* Bytes */

static void buffers(void **state)
{
	struct mr_buf b = {0};
	char big[2000];
	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	mr_buf_printf(&b, "%s-%d", "x", 5);
	mr_buf_printf(&b, "%s", big);
	assert_int_equal(b.n, 3 + 1999);
	assert_true(b.p[b.n] == 0);
	mr_buf_reset(&b);
	assert_true(b.n == 0 && b.p[0] == 0);
	char *taken = mr_buf_take(&b);
	assert_string_equal(taken, "");
	free(taken);
	taken = mr_buf_take(&b);
	assert_string_equal(taken, "");
	free(taken);
	assert_true(mr_str_eq(mr_str(NULL), MR_STR("")));
	assert_true(mr_str_cmp(MR_STR("a"), MR_STR("ab")) < 0 && mr_str_cmp(MR_STR("\xff"), MR_STR("a")) > 0 &&
		    mr_str_cmp(MR_STR(""), mr_str(NULL)) == 0);
}

static void arenas(void **state)
{
	struct mr_arena a = {0};
	for (int round = 0; round < 3; round++) {
		for (size_t n = 0; n < 3000; n += 7) {
			char *p = mr_arena_alloc(&a, n * (n % 5 ? 1 : 400));
			assert_true((uintptr_t)p % 16 == 0);
			for (size_t i = 0; i < n; i++)
				assert_true(p[i] == 0);
			memset(p, 0xee, n);
		}
		assert_string_equal(mr_arena_printf(&a, "%d-%s", 5, "x").p, "5-x");
		mr_arena_reset(&a);
		assert_true(a.used == 0);
	}
	mr_arena_fini(&a);
	mr_arena_fini(&a);
}

/* Begun for what it will hold, it takes one block of that size, and grows like others when that was too little. */
static void exact_arenas(void **state)
{
	static const char json[] = "{\"userId\":\"ann\",\"teams\":[\"a\",\"b\",{\"c\":[1,2.5,null]}]}";
	struct mr_arena rough = {0}, exact = {0};
	struct mr_error err;
	assert_non_null(mr_json_read(&rough, MR_STR(json), 16, false, &err));
	mr_arena_begin(&exact, rough.used);
	const struct mr_node *n = mr_json_read(&exact, MR_STR(json), 16, false, &err);
	assert_int_equal(exact.used, rough.used);
	assert_true(mr_str_is(mr_node_str(n, "userId"), "ann"));
	char *more = mr_arena_alloc(&exact, 10000);
	memset(more, 'x', 10000);
	assert_true(mr_str_is(mr_node_str(n, "userId"), "ann"));
	mr_arena_fini(&exact);
	mr_arena_fini(&rough);
}

static void errors_stay_whole(void **state)
{
	struct mr_error err;
	char text[1000];
	for (size_t start = 0; start < 5; start++) {
		memset(text, 'x', start);
		for (size_t i = start; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x98\x80\0", 5);
		assert_false(mr_fail(&err, MR_BAD_VALUE, "%s", text));
		assert_true(mr_utf8_ok(mr_str(err.message)) && strlen(err.message) >= sizeof(err.message) - 4);
	}
	assert_false(mr_fail_data(&err, MR_TOO_LARGE, "{\"setting\":\"max_frame\"}", "too large"));
	assert_string_equal(err.data, "{\"setting\":\"max_frame\"}");
	mr_fail_data(&err, MR_TOO_LARGE, text, "x");
	assert_string_equal(err.data, "");
	assert_int_equal(mr_code_by_name("conflict", 8), MR_CONFLICT);
	assert_int_equal(mr_code_by_name("conflic", 7), MR_OK);
	assert_string_equal(mr_code_retry(MR_CONFLICT), "same");
	assert_int_equal(mr_code_http(MR_TOO_LARGE), 413);
	assert_int_equal(mr_message_by_name("hello", 5), MR_M_HELLO);
	assert_int_equal(mr_message_by_name("", 0), MR_MESSAGES);
}

/* Hashes */

static void known_hashes(void **state)
{
	uint8_t digest[32];
	struct mr_buf b = {0};
	mr_sha256("abc", 3, digest);
	mr_hex(&b, (struct mr_str){(const char *)digest, 32});
	assert_string_equal(b.p, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	mr_buf_reset(&b);
	mr_hmac_sha256(MR_STR("Jefe"), MR_STR("what do ya want for nothing?"), digest);
	mr_hex(&b, (struct mr_str){(const char *)digest, 32});
	assert_string_equal(b.p, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	mr_buf_fini(&b);
	/* Stored in positions and given to clients: never to change. */
	assert_true(mr_hash_fixed("", 0, 0) == UINT64_C(0x636fbf6ebbdc4730));
	assert_true(mr_hash_fixed("millrace", 8, 7) == UINT64_C(0x58f3330b614c07f8));
	assert_true(mr_hash("a", 1) == mr_hash("a", 1) && mr_hash("a", 1) != mr_hash("b", 1));
	assert_true(mr_equal_ct("abc", "abc", 3) && !mr_equal_ct("abc", "abd", 3));
}

static void base64_texts(void **state)
{
	static const char *const good[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xef\xbf", "/++/"}};
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v=", "Zm9v====", "Z===", "Zm 9", "_-__", "Zg==Zg=="};
	struct mr_buf b = {0};
	for (size_t i = 0; i < MR_COUNT(good); i++) {
		mr_buf_reset(&b);
		mr_base64(&b, mr_str(good[i][0]));
		assert_true(mr_str_is(mr_buf_view(&b), good[i][1]));
		mr_buf_reset(&b);
		assert_true(mr_base64_read(&b, mr_str(good[i][1])) && mr_str_is(mr_buf_view(&b), good[i][0]));
	}
	for (size_t i = 0; i < MR_COUNT(bad); i++) {
		mr_buf_reset(&b);
		mr_buf_z(&b, "kept");
		if (mr_base64_read(&b, mr_str(bad[i])))
			fail_msg("%s was taken", bad[i]);
		assert_string_equal(b.p, "kept");
	}
	mr_buf_reset(&b);
	assert_true(mr_base64url_read(&b, MR_STR("_--_")) && b.n == 3);
	assert_true(mr_base64url_read(&b, MR_STR("Zg")) && mr_base64url_read(&b, MR_STR("Zg==")) && !mr_base64url_read(&b, MR_STR("Zh")));
	mr_buf_fini(&b);
}

static void hex_texts(void **state)
{
	static const char *const bad[] = {"0", "000", "0g", "g0", "0:", "/0", "@0", "0`", " 0", "00 0", "\xc3\xa4"};
	uint8_t read[4] = {0};
	assert_true(mr_hex_read(MR_STR("00fF9aA0"), read) && !memcmp(read, "\x00\xff\x9a\xa0", 4));
	assert_true(mr_hex_read(MR_STR(""), read));
	for (size_t i = 0; i < MR_COUNT(bad); i++)
		if (mr_hex_read(mr_str(bad[i]), read))
			fail_msg("%s was taken", bad[i]);
}

/* Against a plain list of all keys. */
static void map_against_list(void **state)
{
	enum { KEYS = 300 };
	struct mr_map m = {0};
	char keys[KEYS][8];
	bool in[KEYS] = {0};
	size_t n = 0;
	for (int i = 0; i < KEYS; i++)
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
	for (int step = 0; step < 100000; step++) {
		int i = rand() % (step / 20000 % 2 ? KEYS : 20);
		if (rand() % 2) {
			assert_true((mr_map_put(&m, mr_str(keys[i]), keys[i]) != NULL) == in[i]);
			n += !in[i];
			in[i] = true;
		} else {
			assert_true((mr_map_del(&m, mr_str(keys[i])) != NULL) == in[i]);
			n -= in[i];
			in[i] = false;
		}
		assert_true(m.n == n);
		i = rand() % KEYS;
		assert_true((mr_map_get(&m, mr_str(keys[i])) != NULL) == in[i]);
	}
	/* A walk that deletes every other one it meets sees each once. */
	size_t at = 0, seen = 0;
	struct mr_str key;
	void *value;
	while (mr_map_next(&m, &at, &key, &value)) {
		assert_ptr_equal(key.p, value);
		if (seen++ % 2)
			mr_map_del(&m, key);
	}
	assert_true(seen == n && m.n == n - n / 2);
	mr_map_fini(&m);
}

/* The loop */

struct seen {
	struct mr_loop *loop;
	char order[64];
	struct mr_watch *a, *b;
	struct mr_timer *timer;
	int restarts;
};

static void note(struct seen *s, const char *what)
{
	strncat(s->order, what, sizeof(s->order) - strlen(s->order) - 1);
}

static void note_deferred(void *arg)
{
	note(arg, "d");
}

static void note_timer(void *arg)
{
	struct seen *s = arg;
	note(s, "t");
	if (s->restarts-- > 0)
		mr_timer_start(s->timer, 0);
	mr_defer(s->loop, note_deferred, s);
}

static void timers_and_deferred(void **state)
{
	struct seen s = {.loop = mr_loop_new(), .restarts = 2};
	s.timer = mr_timer_new(s.loop, note_timer, &s);
	mr_timer_start(s.timer, 1000);
	assert_true(mr_timer_running(s.timer));
	for (int i = 0; i < 50 && strlen(s.order) < 6; i++)
		mr_loop_turn(s.loop, 100);
	assert_string_equal(s.order, "tdtdtd");
	assert_false(mr_timer_running(s.timer));
	/* From outside of a turn: the loop's descriptor says so. */
	struct pollfd p = {.fd = mr_loop_fd(s.loop), .events = POLLIN};
	mr_loop_turn(s.loop, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	mr_defer(s.loop, note_deferred, &s);
	assert_int_equal(poll(&p, 1, 0), 1);
	mr_loop_turn(s.loop, 0);
	mr_loop_turn(s.loop, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	mr_timer_start(s.timer, 5000);
	assert_int_equal(poll(&p, 1, 1000), 1);
	mr_timer_delete(&s.timer);
	mr_loop_turn(s.loop, 0);
	mr_loop_delete(&s.loop);
}

/* Of those that are in: who comes first by time and turn, found by looking at all. */
static const struct mr_due *first_of(const struct mr_due *v, size_t n)
{
	const struct mr_due *first = NULL;
	for (size_t i = 0; i < n; i++)
		if (mr_due_waits(&v[i]) && (!first || v[i].at < first->at || (v[i].at == first->at && v[i].order < first->order)))
			first = &v[i];
	return first;
}

static void dues(void **state)
{
	enum { THINGS = 200, STEPS = 40000, TIMES = 50 /* so that many are of the same */ };
	struct mr_due things[THINGS] = {0};
	struct mr_dues h = {0};
	for (int i = 0; i < STEPS; i++) {
		struct mr_due *d = rand() % 4 ? &things[rand() % THINGS] : mr_dues_first(&h);
		if (d && rand() % 2)
			mr_dues_put(&h, d, rand() % TIMES);
		else if (d)
			mr_dues_take(&h, d);
		assert_ptr_equal(mr_dues_first(&h), first_of(things, THINGS));
	}
	for (struct mr_due *d; (d = mr_dues_first(&h));) {
		assert_ptr_equal(d, first_of(things, THINGS));
		mr_dues_take(&h, d);
	}
	assert_null(first_of(things, THINGS));
	mr_dues_fini(&h);
}

static void many_timers(void **state)
{
	enum { TIMERS = 500 };
	struct seen s = {.loop = mr_loop_new()};
	struct mr_timer *t[TIMERS];
	for (int i = 0; i < TIMERS; i++) {
		t[i] = mr_timer_new(s.loop, note_deferred, &s);
		mr_timer_start(t[i], rand() % 3000);
	}
	for (int i = 0; i < TIMERS; i += 3)
		mr_timer_stop(t[i]);
	for (int i = 1; i < TIMERS; i += 3)
		mr_timer_start(t[i], rand() % 3000);
	bool any = true;
	for (int turn = 0; any && turn < 2000; turn++) {
		mr_loop_turn(s.loop, 50);
		any = false;
		for (int i = 0; i < TIMERS; i++)
			any |= mr_timer_running(t[i]);
	}
	assert_false(any);
	for (int i = 0; i < TIMERS; i++)
		mr_timer_delete(&t[i]);
	mr_loop_delete(&s.loop);
}

/* Both are ready; whichever is told first deletes both. */
static void delete_both(void *arg, int events)
{
	struct seen *s = arg;
	note(s, "w");
	mr_watch_delete(&s->a);
	mr_watch_delete(&s->b);
}

static void watches_deleted_in_callbacks(void **state)
{
	struct seen s = {.loop = mr_loop_new()};
	int x[2], y[2];
	assert_int_equal(pipe(x) | pipe(y), 0);
	assert_true(write(x[1], "x", 1) == 1 && write(y[1], "y", 1) == 1);
	s.a = mr_watch_new(s.loop, x[0], MR_READ, delete_both, &s);
	s.b = mr_watch_new(s.loop, y[0], MR_READ, delete_both, &s);
	mr_loop_turn(s.loop, 1000);
	mr_loop_turn(s.loop, 0);
	assert_string_equal(s.order, "w");
	/* Not asked for, not told; errors always. */
	s.a = mr_watch_new(s.loop, x[0], 0, delete_both, &s);
	mr_loop_turn(s.loop, 0);
	assert_string_equal(s.order, "w");
	close(x[1]);
	mr_loop_turn(s.loop, 1000);
	assert_string_equal(s.order, "ww");
	close(x[0]);
	close(y[0]);
	close(y[1]);
	mr_loop_delete(&s.loop);
}

/* The control socket */

struct end {
	struct mr_link *link;
	struct mr_buf got; /* frames, each followed by a bar */
	uint64_t bytes;
	int frames, fds, gone;
	bool delete_at_first;
};

static void on_frame(struct mr_link *link, struct mr_str text, const int *fds, int n_fds, void *arg)
{
	struct end *e = arg;
	assert_ptr_equal(link, e->link);
	for (int i = 0; i < n_fds; i++) {
		char c = 0;
		assert_true(read(fds[i], &c, 1) == 1 && c == 'q' + i);
		close(fds[i]);
		e->fds++;
	}
	e->gone += !text.p;
	e->frames += text.p != NULL;
	e->bytes += text.n;
	if (text.p && text.n < 100) {
		mr_buf_str(&e->got, text);
		mr_buf_char(&e->got, '|');
	}
	if (!text.p || e->delete_at_first)
		mr_link_delete(&e->link);
}

static void make_ends(struct mr_loop *loop, struct end *a, struct end *b)
{
	int s[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	a->link = mr_link_new(loop, s[0], on_frame, a);
	b->link = mr_link_new(loop, s[1], on_frame, b);
}

static void send_with_pipes(struct mr_link *link, struct mr_str text, int n)
{
	int fds[8];
	for (int i = 0; i < n; i++) {
		int p[2];
		char c = (char)('q' + i);
		assert_true(pipe(p) == 0 && write(p[1], &c, 1) == 1);
		close(p[1]);
		fds[i] = p[0];
	}
	mr_link_send_fds(link, text, fds, n);
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static void frames_and_descriptors(void **state)
{
	struct mr_loop *loop = mr_loop_new();
	struct end a = {0}, b = {0};
	make_ends(loop, &a, &b);
	mr_link_send(a.link, MR_STR("{\"one\":1}"));
	send_with_pipes(a.link, MR_STR("{\"two\":2}"), 2);
	mr_link_send(a.link, MR_STR(""));
	send_with_pipes(a.link, MR_STR("{\"three\":3}"), 8);
	mr_link_send(b.link, MR_STR("{\"back\":1}"));
	for (int i = 0; i < 10; i++)
		mr_loop_turn(loop, 10);
	assert_string_equal(b.got.p, "{\"one\":1}|{\"two\":2}||{\"three\":3}|");
	assert_int_equal(b.fds, 10);
	assert_string_equal(a.got.p, "{\"back\":1}|");
	mr_link_delete(&a.link);
	for (int i = 0; i < 3; i++)
		mr_loop_turn(loop, 10);
	assert_true(b.gone == 1 && !b.link);
	mr_buf_fini(&a.got);
	mr_buf_fini(&b.got);
	mr_loop_delete(&loop);
}

/* More than the kernel takes at once, with descriptors in between. */
static void long_queues(void **state)
{
	struct mr_loop *loop = mr_loop_new();
	struct end a = {0}, b = {0};
	struct mr_buf big = {0};
	uint64_t sent = 0;
	make_ends(loop, &a, &b);
	memset(mr_buf_room(&big, 3 << 20), 'z', 3 << 20);
	for (int i = 0; i < 40; i++) {
		big.n = (size_t)i * 70001;
		sent += big.n;
		if (i % 5 == 0)
			send_with_pipes(a.link, mr_buf_view(&big), 1 + i % 3);
		else
			mr_link_send(a.link, mr_buf_view(&big));
	}
	assert_true(mr_link_pending(a.link) > 1 << 20);
	for (int i = 0; i < 5000 && b.frames < 40; i++)
		mr_loop_turn(loop, 10);
	assert_true(b.frames == 40 && b.bytes == sent && b.fds == 16);
	assert_int_equal(mr_link_pending(a.link), 0);
	/* The peer goes with frames under way: told once, nothing leaks. */
	mr_link_send(a.link, mr_buf_view(&big));
	mr_link_delete(&b.link);
	mr_link_send(a.link, mr_buf_view(&big));
	for (int i = 0; i < 10 && a.link; i++)
		mr_loop_turn(loop, 10);
	assert_int_equal(a.gone, 1);
	mr_buf_fini(&big);
	mr_buf_fini(&b.got);
	mr_buf_fini(&a.got);
	mr_loop_delete(&loop);
}

static void deleted_inside_its_callback(void **state)
{
	struct mr_loop *loop = mr_loop_new();
	struct end a = {0}, b = {.delete_at_first = true};
	make_ends(loop, &a, &b);
	for (int i = 0; i < 3; i++)
		mr_link_send(a.link, MR_STR("x"));
	for (int i = 0; i < 5; i++)
		mr_loop_turn(loop, 10);
	assert_true(b.frames == 1 && !b.link && a.gone == 1);
	mr_buf_fini(&a.got);
	mr_buf_fini(&b.got);
	mr_loop_delete(&loop);
}

static void nonsense_ends_the_link(void **state)
{
	struct mr_loop *loop = mr_loop_new();
	/* Descriptors promised that do not come. */
	const uint8_t bytes[] = {1, 0, 0, 0x10, 'x'};
	struct end b = {0};
	int s[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	b.link = mr_link_new(loop, s[1], on_frame, &b);
	assert_true(write(s[0], bytes, sizeof(bytes)) == sizeof(bytes));
	for (int i = 0; i < 3; i++)
		mr_loop_turn(loop, 10);
	assert_true(b.gone == 1 && b.frames == 0);
	close(s[0]);
	mr_loop_delete(&loop);
}

static void addresses(void **state)
{
	char dir[] = "/tmp/millrace-link-XXXXXX";
	assert_non_null(mkdtemp(dir));
	/* Longer than an address holds. */
	char *deep = mr_printf("%s/%0*d", dir, 120, 0), *path = mr_printf("%s/fanout.sock", deep);
	assert_int_equal(mkdir(deep, 0700), 0);
	int fd = mr_link_listen(path);
	assert_true(fd >= 0);
	assert_int_equal(mr_link_listen(path), -1);
	int other = mr_link_connect(path);
	assert_true(other >= 0);
	close(other);
	close(fd);
	assert_int_equal(mr_link_connect(path), -1);
	fd = mr_link_listen(path); /* stale: taken over */
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	/* What is no socket is left alone. */
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(mr_link_listen(path), -1);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	rmdir(deep);
	rmdir(dir);
	free(path);
	free(deep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers),
		cmocka_unit_test(arenas),
		cmocka_unit_test(exact_arenas),
		cmocka_unit_test(errors_stay_whole),
		cmocka_unit_test(known_hashes),
		cmocka_unit_test(base64_texts),
		cmocka_unit_test(hex_texts),
		cmocka_unit_test(map_against_list),
		cmocka_unit_test(timers_and_deferred),
		cmocka_unit_test(dues),
		cmocka_unit_test(many_timers),
		cmocka_unit_test(watches_deleted_in_callbacks),
		cmocka_unit_test(frames_and_descriptors),
		cmocka_unit_test(long_queues),
		cmocka_unit_test(deleted_inside_its_callback),
		cmocka_unit_test(nonsense_ends_the_link),
		cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
