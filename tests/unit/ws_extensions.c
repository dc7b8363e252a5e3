/* Sec-WebSocket-Extensions and permessage-deflate's parameters: fanout/ws_extensions.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fanout/ws_extensions.h"

/* Reads a copy that ends where the value does, so that reading past it is noticed. -1: not by the grammar; 0: nothing taken; else 1 + the
 * server's window bits. */
static int choose(const char *value)
{
	size_t n = strlen(value);
	char *copy = malloc(n ? n : 1);
	struct mr_ws_deflate d;

	memcpy(copy, value, n);
	enum mr_ws_extension got = mr_ws_choose_extension((struct mr_str){copy, n}, &d);
	free(copy);
	return got == MR_WS_EXTENSION_BAD ? -1 : got == MR_WS_NO_EXTENSION ? 0 : 1 + d.server_bits;
}

static void test_taken(void **state)
{
	static const struct {
		const char *value;
		int bits;
	} cases[] = {
		{"permessage-deflate", 0},
		{"Permessage-Deflate", 0},
		{"permessage-deflate; client_max_window_bits", 0},
		{"permessage-deflate; client_max_window_bits=8", 0},
		{"permessage-deflate; client_max_window_bits=\"10\"", 0},
		{"permessage-deflate;client_no_context_takeover;server_no_context_takeover", 0},
		{"permessage-deflate ; server_max_window_bits = 15", 15},
		{"permessage-deflate; server_max_window_bits=8; client_max_window_bits", 8},
		{"permessage-deflate; server_max_window_bits=\"9\"", 9},
		{"permessage-deflate; server_max_window_bits=\"1\\0\"", 10},
		{"\tpermessage-deflate\t", 0},
		{", ,permessage-deflate,,", 0},
		{"x-webkit-deflate-frame, permessage-deflate; client_max_window_bits", 0},
		{"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10, permessage-deflate", 10},
		{"foo; bar=\"a\"; baz=2, permessage-deflate", 0},
	};

	for (size_t i = 0; i < MR_COUNT(cases); i++)
		assert_int_equal(choose(cases[i].value), 1 + cases[i].bits);
}

/* By the grammar, but not offers that may be accepted (RFC 7692 7.1). */
static void test_declined(void **state)
{
	static const char *const cases[] = {
		"foo",
		"permessage-deflat",
		"permessage-deflated",
		"permessage-deflate; unknown",
		"permessage-deflate; server_no_context_takeover=1",
		"permessage-deflate; client_no_context_takeover=\"\\t\"",
		"permessage-deflate; server_max_window_bits",
		"permessage-deflate; server_max_window_bits=7",
		"permessage-deflate; server_max_window_bits=16",
		"permessage-deflate; server_max_window_bits=010",
		"permessage-deflate; server_max_window_bits=+9",
		"permessage-deflate; server_max_window_bits=9x",
		"permessage-deflate; server_max_window_bits=0",
		"permessage-deflate; server_max_window_bits=1000000000000000000000000009",
		"permessage-deflate; client_max_window_bits=7",
		"permessage-deflate; client_max_window_bits=16",
		"permessage-deflate; client_max_window_bits=09",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover",
		"permessage-deflate; client_max_window_bits; client_max_window_bits=10",
		"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
	};

	for (size_t i = 0; i < MR_COUNT(cases); i++)
		assert_int_equal(choose(cases[i]), 0);
}

static void test_grammar(void **state)
{
	static const char *const cases[] = {
		"",
		" ",
		",",
		" , ,",
		";",
		"permessage-deflate;",
		"permessage-deflate; ;client_max_window_bits",
		"permessage-deflate; =10",
		"permessage-deflate; server_max_window_bits=",
		"permessage-deflate; server_max_window_bits=\"",
		"permessage-deflate; server_max_window_bits=\"10",
		"permessage-deflate; server_max_window_bits=\"10\\",
		"permessage-deflate; server_max_window_bits=\"\"",
		"permessage-deflate; server_max_window_bits=\"1 0\"",
		"permessage-deflate; server_max_window_bits=\"10\"x",
		"permessage-deflate client_max_window_bits",
		"permessage-deflate, (comment)",
		"permessage-deflate, \x7f",
		"permessage-deflate, \xc3\xa9",
		"\"permessage-deflate\"",
	};

	for (size_t i = 0; i < MR_COUNT(cases); i++)
		assert_int_equal(choose(cases[i]), -1);
}

static void test_answer(void **state)
{
	char out[128];

	mr_ws_deflate_answer(&(struct mr_ws_deflate){0}, out);
	assert_string_equal(out, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
	assert_true(mr_ws_deflate_out(&(struct mr_ws_deflate){0}));
	for (int bits = 8; bits <= 15; bits++) {
		struct mr_ws_deflate d = {.server_bits = bits};
		mr_ws_deflate_answer(&d, out);
		assert_int_equal(choose(out), 1 + bits);
		assert_int_equal(mr_ws_deflate_out(&d), bits == 15);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_declined),
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
