/* The value model in both encodings: the vectors of tests/vectors/values.json, and what they do not say. */
#include "tests/unit/vectors.h"

#include "proto/ground/hash.h"

static struct mr_str unhex(struct mr_arena *a, struct mr_str hex)
{
	char *p = mr_arena_alloc(a, hex.n / 2 + 1);
	for (size_t i = 0; i < hex.n / 2; i++) {
		char two[3] = {hex.p[2 * i], hex.p[2 * i + 1], 0};
		p[i] = (char)strtol(two, NULL, 16);
	}
	return (struct mr_str){p, hex.n / 2};
}

static const struct mr_node *decode(struct mr_arena *a, enum mr_encoding encoding, struct mr_str bytes, struct mr_error *err)
{
	/* At the end of a block of its own, so that a sanitizer sees a step beyond it. */
	char *exact = malloc(bytes.n ? bytes.n : 1);
	memcpy(exact, bytes.p, bytes.n);
	const struct mr_node *n = encoding == MR_JSON ? mr_json_read(a, (struct mr_str){exact, bytes.n}, 64, true, err)
						      : mr_msgpack_read(a, (struct mr_str){exact, bytes.n}, 64, true, err);
	struct mr_error same;
	if (encoding == MR_JSON)
		assert_int_equal(mr_json_ok((struct mr_str){exact, bytes.n}, 64, true, &same), n != NULL);
	free(exact);
	/* Nodes point into the source: decode once more from one that stays. */
	if (n)
		n = encoding == MR_JSON ? mr_json_read(a, bytes, 64, true, &same) : mr_msgpack_read(a, bytes, 64, true, &same);
	return n;
}

static void canonical_is(const struct mr_node *n, struct mr_str want, const char *note)
{
	struct mr_buf b = {0};
	mr_json_canonical(&b, n);
	if (!mr_str_eq(mr_buf_view(&b), want))
		fail_msg("%s: canonical text is %s", note, b.p);
	mr_buf_fini(&b);
}

static void encodes_to(const struct mr_node *n, enum mr_encoding encoding, struct mr_str want, const char *note)
{
	struct mr_buf b = {0}, hex = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, encoding);
	mr_enc_node(&e, n);
	if (!mr_str_eq(mr_buf_view(&b), want)) {
		mr_hex(&hex, mr_buf_view(&b));
		fail_msg("%s: encoded as %s (%s)", note, hex.p, encoding == MR_JSON ? b.p : "");
	}
	mr_buf_fini(&b);
}

struct check {
	struct mr_arena *a;
	const struct mr_node *v;
	const char *note;
	struct mr_buf canonical;
};

/* One spelling of the value decodes to the same; the first one says what that is. */
static const struct mr_node *spelling(struct check *c, enum mr_encoding encoding, struct mr_str bytes)
{
	struct mr_error err;
	const struct mr_node *n = decode(c->a, encoding, bytes, &err);
	if (!n)
		fail_msg("%s: %s", c->note, err.message);
	if (!c->canonical.n)
		mr_json_canonical(&c->canonical, n);
	canonical_is(n, mr_buf_view(&c->canonical), c->note);
	return n;
}

static void vector_holds(struct mr_arena *a, const struct mr_node *v)
{
	struct check c = {.a = a, .v = v, .note = mr_arena_z(a, mr_node_str(v, "note"))};
	struct mr_str json = mr_node_str(v, "json"), msgpack = unhex(a, mr_node_str(v, "msgpack"));
	const struct mr_node *from_json = spelling(&c, MR_JSON, json), *from_msgpack = spelling(&c, MR_MSGPACK, msgpack);
	encodes_to(from_json, MR_MSGPACK, msgpack, c.note);
	encodes_to(from_msgpack, MR_JSON, json, c.note);
	const struct mr_node *also = mr_node_get(v, "also_json");
	for (size_t i = 0; also && i < also->n; i++)
		spelling(&c, MR_JSON, also->items[i].text);
	also = mr_node_get(v, "also_msgpack");
	for (size_t i = 0; also && i < also->n; i++)
		spelling(&c, MR_MSGPACK, unhex(a, also->items[i].text));
	if (mr_node_get(v, "canonical"))
		canonical_is(from_json, mr_node_str(v, "canonical"), c.note);
	mr_buf_fini(&c.canonical);
}

static void vectors_of_values(void **state)
{
	struct mr_arena a = {0};
	const struct mr_node *values = member(vectors(&a, "values"), "values");
	assert_true(values->n > 60);
	for (size_t i = 0; i < values->n; i++)
		vector_holds(&a, &values->items[i]);
	mr_arena_fini(&a);
}

static void vectors_of_refusals(void **state)
{
	struct mr_arena a = {0};
	const struct mr_node *refused = member(vectors(&a, "values"), "refused");
	for (size_t i = 0; i < refused->n; i++) {
		const struct mr_node *v = &refused->items[i];
		bool json = mr_node_get(v, "json") != NULL;
		struct mr_str bytes = json ? mr_node_str(v, "json") : unhex(&a, mr_node_str(v, "msgpack"));
		struct mr_error err = {0};
		if (decode(&a, json ? MR_JSON : MR_MSGPACK, bytes, &err))
			fail_msg("%s was taken", mr_arena_z(&a, mr_node_str(v, "note")));
		assert_string_equal(mr_code_name(err.code), mr_arena_z(&a, mr_node_str(v, "code")));
		assert_true(mr_utf8_ok(mr_str(err.message)) && err.message[0]);
	}
	mr_arena_fini(&a);
}

static void raw_points_at_source(void **state)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_str json = MR_STR(" {\"t\":\"call\", \"args\" : { \"x\" : [1, 2.50 ,\"\\u0041\"] } } ");
	const struct mr_node *n = mr_json_read(&a, json, 8, true, &err);
	assert_non_null(n);
	const struct mr_node *args = mr_node_get(n, "args");
	assert_true(mr_str_is(args->raw, "{ \"x\" : [1, 2.50 ,\"\\u0041\"] }"));
	assert_true(args->raw.p > json.p && args->raw.p < json.p + json.n);
	const struct mr_node *x = mr_node_get(args, "x");
	assert_true(mr_str_is(x->items[1].raw, "2.50") && mr_str_is(x->items[1].text, "2.50"));
	assert_true(mr_str_is(x->items[2].raw, "\"\\u0041\"") && mr_str_is(x->items[2].text, "A"));
	assert_true(mr_str_is(mr_node_str(n, "t"), "call"));
	assert_null(mr_node_str(n, "nope").p);
	assert_null(mr_node_get(NULL, "x"));
	mr_arena_fini(&a);
}

static void lenient_keeps_dollar_keys(void **state)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *n =
		mr_json_read(&a, MR_STR("{\"n\":{\"$gt\":{\"$int\":\"5\"}},\"m\":{\"$int\":\"x\"},\"$or\":[]}"), 8, false, &err);
	assert_non_null(n);
	assert_int_equal(mr_node_get(mr_node_get(n, "n"), "$gt")->kind, MR_BIGINT);
	assert_int_equal(mr_node_get(n, "m")->kind, MR_MAP);
	assert_false(mr_node_strict(n));
	n = mr_json_read(&a, MR_STR("{\"a\":[{\"b\":{\"$int\":\"5\"}}]}"), 8, false, &err);
	assert_true(mr_node_strict(n));
	mr_arena_fini(&a);
}

static void depth_is_bounded(void **state)
{
	struct mr_arena a = {0};
	struct mr_error err;
	assert_non_null(mr_json_read(&a, MR_STR("[[[1]]]"), 3, true, &err));
	assert_null(mr_json_read(&a, MR_STR("[[[1]]]"), 2, true, &err));
	assert_non_null(mr_json_read(&a, MR_STR("1"), 0, true, &err));
	struct mr_buf deep = {0}, out = {0};
	for (int i = 0; i < 512; i++)
		mr_buf_char(&deep, '[');
	for (int i = 0; i < 512; i++)
		mr_buf_char(&deep, ']');
	const struct mr_node *n = mr_json_read(&a, mr_buf_view(&deep), 512, true, &err);
	assert_non_null(n);
	struct mr_enc e;
	mr_enc_init(&e, &out, MR_JSON);
	mr_enc_node(&e, n);
	assert_string_equal(out.p, deep.p);
	mr_buf_fini(&deep);
	mr_buf_fini(&out);
	mr_arena_fini(&a);
}

static void integers_are_exact(void **state)
{
	static const struct {
		const char *text;
		bool fits;
		int64_t value;
	} cases[] = {{"0", true, 0}, {"-0", true, 0}, {"9223372036854775807", true, INT64_MAX}, {"-9223372036854775808", true, INT64_MIN},
		{"9223372036854775808", false, 0}, {"-9223372036854775809", false, 0}, {"9007199254740993", true, 9007199254740993},
		{"1e3", true, 1000}, {"1.5e1", true, 15}, {"15.0", true, 15}, {"1.5", false, 0}, {"1e-1", false, 0}, {"10e-1", true, 1},
		{"9.223372036854775807e18", true, INT64_MAX}, {"1e19", false, 0}, {"1e999999999999999999999", false, 0},
		{"0e999999999999999999999", true, 0}, {"0.000", true, 0}, {"0.1e1", true, 1}, {"1000000000000000000000e-21", true, 1}};
	for (size_t i = 0; i < MR_COUNT(cases); i++) {
		struct mr_node n = {.kind = MR_NUMBER, .text = mr_str(cases[i].text)};
		int64_t value = 7;
		if (mr_node_int(&n, &value) != cases[i].fits || (cases[i].fits && value != cases[i].value))
			fail_msg("%s gave %lld", cases[i].text, (long long)value);
	}
}

static void doubles_read_back(void **state)
{
	const double some[] = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 123456789.125, 1e21, 1e22, 1e23, -2.5e-7, 9007199254740993.0};
	for (size_t i = 0; i < MR_COUNT(some); i++) {
		struct mr_buf b = {0};
		double d;
		mr_double_print(&b, some[i]);
		assert_true(mr_double_read(mr_buf_view(&b), &d) && d == some[i]);
		mr_buf_fini(&b);
	}
	double d;
	assert_false(mr_double_read(MR_STR("1e309"), &d));
	assert_true(mr_double_read(MR_STR("Infinity"), &d));
	assert_false(mr_double_read(MR_STR("inf"), &d));
	assert_false(mr_double_read(MR_STR(""), &d));
	assert_false(mr_double_read(MR_STR("0x10"), &d));
}

static int sign(int c)
{
	return (c > 0) - (c < 0);
}

static void decimals_compare(void **state)
{
	const char *const ascending[] = {"-1e500", "-10.01", "-10", "-9.99", "-0.001", "0", "1e-500", "0.0010", "0.00100000001", "1", "1.5",
		"15e-1", "2", "9.99", "10", "99999999999999999999999", "1e23", "1.0000000001e23"};
	for (size_t i = 0; i < MR_COUNT(ascending); i++)
		for (size_t j = 0; j < MR_COUNT(ascending); j++) {
			struct mr_decimal x, y;
			assert_true(mr_decimal_read(mr_str(ascending[i]), &x) && mr_decimal_read(mr_str(ascending[j]), &y));
			int want = i == j ? 0 : i < j ? -1 : 1;
			if ((i == 10 && j == 11) || (i == 11 && j == 10))
				want = 0;
			if (sign(mr_decimal_cmp(&x, &y)) != want)
				fail_msg("%s and %s", ascending[i], ascending[j]);
		}
}

static void encoder_both_ways(void **state)
{
	for (int encoding = 0; encoding < MR_ENCODINGS; encoding++) {
		struct mr_buf b = {0}, part = {0};
		struct mr_enc e;
		mr_enc_init(&e, &part, encoding);
		mr_enc_str(&e, MR_STR("inner"));
		mr_enc_init(&e, &b, encoding);
		mr_enc_map(&e, 4);
		mr_enc_key(&e, MR_STR("a"));
		mr_enc_array(&e, 3);
		mr_enc_int(&e, -5);
		mr_enc_raw(&e, mr_buf_view(&part));
		mr_enc_double(&e, 0.5);
		mr_enc_end(&e);
		mr_enc_key(&e, MR_STR("b"));
		mr_enc_bytes(&e, MR_STR("hi"));
		mr_enc_key(&e, MR_STR("c"));
		mr_enc_bigint(&e, MR_STR("12345678901234567890"));
		mr_enc_key(&e, MR_STR("d"));
		mr_enc_map(&e, 0);
		mr_enc_end(&e);
		mr_enc_end(&e);
		struct mr_arena a = {0};
		struct mr_error err;
		const struct mr_node *n = encoding == MR_JSON ? mr_json_read(&a, mr_buf_view(&b), 8, true, &err)
							      : mr_msgpack_read(&a, mr_buf_view(&b), 8, true, &err);
		assert_non_null(n);
		canonical_is(n,
			MR_STR("{\"a\":[-5,\"inner\",0.5],\"b\":{\"$bytes\":\"aGk=\"},\"c\":{\"$int\":\"12345678901234567890\"},\"d\":{}}"),
			"both");
		mr_arena_fini(&a);
		mr_buf_fini(&b);
		mr_buf_fini(&part);
	}
}

/* The empty slice may have no address. */
static void empty_slices(void **state)
{
	const struct mr_str none = {NULL, 0};
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_decimal d;
	struct mr_buf b = {0};
	double f;
	assert_null(mr_json_read(&a, none, 8, true, &err));
	assert_null(mr_msgpack_read(&a, none, 8, true, &err));
	assert_true(mr_utf8_ok(none));
	assert_false(mr_decimal_read(none, &d));
	assert_false(mr_double_read(none, &f));
	mr_json_quote(&b, none);
	mr_base64(&b, none);
	assert_true(mr_base64_read(&b, none) && mr_base64url_read(&b, none));
	assert_string_equal(b.p, "\"\"");
	for (int encoding = 0; encoding < MR_ENCODINGS; encoding++) {
		struct mr_enc e;
		mr_enc_init(&e, &b, (enum mr_encoding)encoding);
		mr_enc_str(&e, none);
		mr_enc_bytes(&e, none);
		mr_enc_raw(&e, none);
	}
	assert_int_equal(mr_arena_str(&a, none).n, 0);
	assert_int_equal(mr_hash(NULL, 0), mr_hash("", 0));
	mr_buf_fini(&b);
	mr_arena_fini(&a);
}

static void many_keys(void **state)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_buf b = {0};
	mr_buf_char(&b, '{');
	for (int i = 0; i < 5000; i++)
		mr_buf_printf(&b, "%s\"k%d\":%d", i ? "," : "", i, i);
	size_t n = b.n;
	mr_buf_char(&b, '}');
	assert_non_null(mr_json_read(&a, mr_buf_view(&b), 8, true, &err));
	b.n = n;
	mr_buf_z(&b, ",\"k4321\":0}");
	assert_null(mr_json_read(&a, mr_buf_view(&b), 8, true, &err));
	mr_buf_fini(&b);
	mr_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_values),
		cmocka_unit_test(vectors_of_refusals),
		cmocka_unit_test(raw_points_at_source),
		cmocka_unit_test(lenient_keeps_dollar_keys),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(integers_are_exact),
		cmocka_unit_test(doubles_read_back),
		cmocka_unit_test(decimals_compare),
		cmocka_unit_test(encoder_both_ways),
		cmocka_unit_test(empty_slices),
		cmocka_unit_test(many_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
