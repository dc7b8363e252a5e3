#include "value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ground/hash.h"
#include "key.h"

/* What Postgres's numeric holds; and how many zeros an exponent may stand for in a client's value, so that a few bytes stay a few. */
enum { NUMERIC_WHOLE = 131072, NUMERIC_FRACTION = 16383, EXPONENT_ZEROS = 400, JSON_DEPTH = 512 };

/* Numeric */

static bool numeric_word(struct mr_str text, struct mr_str *canonical)
{
	static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
	for (size_t i = 0; i < MR_COUNT(words); i++)
		if (mr_str_is(text, words[i])) {
			*canonical = mr_str(words[i]);
			return true;
		}
	return false;
}

/* Plain digits without needless zeros: "120", "-0.05", "0". */
static struct mr_str plain_decimal(struct mr_arena *a, const struct mr_decimal *d)
{
	struct mr_buf b = {0};
	if (!d->n)
		return MR_STR("0");
	if (d->negative)
		mr_buf_char(&b, '-');
	if (d->point <= 0)
		mr_buf_z(&b, "0.");
	for (int64_t i = d->point; i < 0; i++)
		mr_buf_char(&b, '0');
	int64_t place = 0;
	for (const char *p = d->a; p < d->b; p++) {
		if (*p == '.')
			continue;
		if (place++ == d->point && d->point > 0)
			mr_buf_char(&b, '.');
		mr_buf_char(&b, *p);
	}
	for (; place < d->point; place++)
		mr_buf_char(&b, '0');
	struct mr_str s = mr_arena_str(a, mr_buf_view(&b));
	mr_buf_fini(&b);
	return s;
}

static bool read_numeric(struct mr_arena *a, struct mr_str text, int64_t zeros, struct mr_str *canonical)
{
	struct mr_decimal d;
	if (numeric_word(text, canonical))
		return true;
	if (!mr_decimal_read(text, &d))
		return false;
	int64_t fraction = (int64_t)d.n - d.point;
	if (d.point > NUMERIC_WHOLE || fraction > NUMERIC_FRACTION)
		return false;
	if (d.point - (int64_t)text.n > zeros || fraction - (int64_t)text.n > zeros)
		return false;
	*canonical = plain_decimal(a, &d);
	return true;
}

/* -Infinity < numbers < Infinity < NaN */
static int numeric_rank(struct mr_str t)
{
	return t.p[0] == 'N' ? 3 : t.p[0] == 'I' ? 2 : t.n > 1 && t.p[1] == 'I' ? 0 : 1;
}

static int cmp_numeric(struct mr_str a, struct mr_str b)
{
	struct mr_decimal x, y;
	int rank = numeric_rank(a) - numeric_rank(b);
	if (rank || numeric_rank(a) != 1)
		return rank;
	mr_decimal_read(a, &x);
	mr_decimal_read(b, &y);
	return mr_decimal_cmp(&x, &y);
}

/* Uuid */

bool mr_uuid_read(struct mr_str s, uint8_t uuid[16])
{
	if (s.n != 36)
		return false;
	size_t at = 0;
	for (int i = 0; i < 16; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && s.p[at++] != '-')
			return false;
		int high = mr_hex_digit(s.p[at]), low = mr_hex_digit(s.p[at + 1]);
		if (high < 0 || low < 0)
			return false;
		uuid[i] = (uint8_t)(high << 4 | low);
		at += 2;
	}
	return true;
}

void mr_uuid_append(struct mr_buf *b, const uint8_t uuid[16])
{
	static const char digits[] = "0123456789abcdef";
	char text[36], *to = text;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[uuid[i] >> 4];
		*to++ = digits[uuid[i] & 15];
	}
	mr_buf_add(b, text, sizeof text);
}

/* Bytes as Postgres prints them: \x and hex digits. */
static bool read_hex_bytes(struct mr_arena *a, struct mr_str s, struct mr_str *bytes)
{
	if (s.n < 2 || s.n % 2 || s.p[0] != '\\' || s.p[1] != 'x')
		return false;
	size_t n = s.n / 2 - 1;
	char *p = mr_arena_alloc(a, n + 1);
	*bytes = (struct mr_str){p, n};
	return mr_hex_read((struct mr_str){s.p + 2, 2 * n}, (uint8_t *)p);
}

/* From a node */

static bool unfit(struct mr_error *err, const char *expected)
{
	mr_fail(err, MR_BAD_VALUE, "%s was expected.", expected);
	return false;
}

static bool node_numeric(struct mr_arena *a, const struct mr_node *n, struct mr_value *v)
{
	if (n->kind != MR_STRING && n->kind != MR_NUMBER && n->kind != MR_BIGINT)
		return false;
	return read_numeric(a, n->text, EXPONENT_ZEROS, &v->text);
}

static bool node_datetime(const struct mr_node *n, struct mr_value *v)
{
	int64_t ms;
	if (n->kind == MR_STRING)
		return mr_datetime_read(n->text, &v->i);
	return n->kind == MR_NUMBER && mr_node_int(n, &ms) && mr_datetime_from_unix_ms(ms, &v->i);
}

static void node_json(struct mr_arena *a, const struct mr_node *n, struct mr_value *v)
{
	v->text = n->raw;
	if (n->raw.n)
		return;
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, MR_JSON);
	mr_enc_node(&e, n);
	v->text = mr_arena_str(a, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static bool text_of(const struct mr_node *n, enum mr_kind kind, struct mr_value *v)
{
	v->text = n->text;
	return n->kind == kind;
}

bool mr_value_from_node(struct mr_arena *a, enum mr_type type, const struct mr_node *n, struct mr_value *v, struct mr_error *err)
{
	*v = (struct mr_value){.type = type, .null = n->kind == MR_NULL};
	if (v->null)
		return true;
	switch (type) {
	case MR_T_BOOL:
		v->truth = n->truth;
		return n->kind == MR_BOOL || unfit(err, "true or false");
	case MR_T_INT:
	case MR_T_BIGINT:
		return mr_node_int(n, &v->i) || unfit(err, "A whole number within 64 bits");
	case MR_T_FLOAT:
		return mr_node_double(n, &v->d) || unfit(err, "A number within the range of a double");
	case MR_T_NUMERIC:
		return node_numeric(a, n, v) || unfit(err, "A decimal number, as a string");
	case MR_T_STRING:
		return text_of(n, MR_STRING, v) || unfit(err, "A string");
	case MR_T_UUID:
		return (n->kind == MR_STRING && mr_uuid_read(n->text, v->uuid)) || unfit(err, "A uuid (8-4-4-4-12 hex digits)");
	case MR_T_DATETIME:
		return node_datetime(n, v) ||
		       unfit(err, "A time as ISO 8601 with Z or an offset and at most microseconds, or as milliseconds since 1970");
	case MR_T_BYTES:
		return text_of(n, MR_BYTES, v) || unfit(err, "Bytes");
	case MR_T_JSON:
		node_json(a, n, v);
		return true;
	case MR_TYPES:
		break;
	}
	return unfit(err, "A known type");
}

/* From an image */

/* Numbers stand as such; what JSON has no number for is quoted. */
static bool number_or_word(const struct mr_node *n)
{
	return n->kind == MR_NUMBER || n->kind == MR_STRING;
}

bool mr_value_from_image(struct mr_arena *a, enum mr_type type, const struct mr_node *n, struct mr_value *v)
{
	*v = (struct mr_value){.type = type, .null = n->kind == MR_NULL};
	if (v->null)
		return true;
	switch (type) {
	case MR_T_BOOL:
		v->truth = n->truth;
		return n->kind == MR_BOOL;
	case MR_T_INT:
	case MR_T_BIGINT:
		return n->kind == MR_NUMBER && mr_node_int(n, &v->i);
	case MR_T_FLOAT:
		return number_or_word(n) && mr_double_read(n->text, &v->d);
	case MR_T_NUMERIC:
		return number_or_word(n) && read_numeric(a, n->text, NUMERIC_WHOLE, &v->text);
	case MR_T_STRING:
		return text_of(n, MR_STRING, v);
	case MR_T_UUID:
		return n->kind == MR_STRING && mr_uuid_read(n->text, v->uuid);
	case MR_T_DATETIME:
		return n->kind == MR_STRING && mr_datetime_read(n->text, &v->i);
	case MR_T_BYTES:
		return n->kind == MR_STRING && read_hex_bytes(a, n->text, &v->text);
	case MR_T_JSON:
		node_json(a, n, v);
		return true;
	case MR_TYPES:
		break;
	}
	return false;
}

/* From Postgres's text */

static bool text_int(struct mr_str text, int64_t *i)
{
	struct mr_decimal d;
	return mr_decimal_read(text, &d) && mr_decimal_int(&d, i);
}

bool mr_value_from_pgtext(struct mr_arena *a, enum mr_type type, struct mr_str text, struct mr_value *v)
{
	*v = (struct mr_value){.type = type, .null = !text.p};
	if (v->null)
		return true;
	struct mr_error why;
	switch (type) {
	case MR_T_BOOL:
		v->truth = mr_str_is(text, "t") || mr_str_is(text, "true");
		return v->truth || mr_str_is(text, "f") || mr_str_is(text, "false");
	case MR_T_INT:
	case MR_T_BIGINT:
		return text_int(text, &v->i);
	case MR_T_FLOAT:
		return mr_double_read(text, &v->d);
	case MR_T_NUMERIC:
		return read_numeric(a, text, NUMERIC_WHOLE, &v->text);
	case MR_T_STRING:
		v->text = text;
		return mr_utf8_ok(text);
	case MR_T_UUID:
		return mr_uuid_read(text, v->uuid);
	case MR_T_DATETIME:
		return mr_datetime_read(text, &v->i);
	case MR_T_BYTES:
		return read_hex_bytes(a, text, &v->text);
	case MR_T_JSON:
		v->text = text;
		return mr_json_ok(text, JSON_DEPTH, false, &why);
	case MR_TYPES:
		break;
	}
	return false;
}

/* Comparing */

/* NaN is equal to itself and above all else; -0 is 0. */
static int cmp_double(double a, double b)
{
	if (isnan(a) || isnan(b))
		return (isnan(a) != 0) - (isnan(b) != 0);
	return (a > b) - (a < b);
}

int mr_value_cmp(const struct mr_value *a, const struct mr_value *b)
{
	switch (a->type) {
	case MR_T_BOOL:
		return a->truth - b->truth;
	case MR_T_INT:
	case MR_T_BIGINT:
	case MR_T_DATETIME:
		return (a->i > b->i) - (a->i < b->i);
	case MR_T_FLOAT:
		return cmp_double(a->d, b->d);
	case MR_T_NUMERIC:
		return cmp_numeric(a->text, b->text);
	case MR_T_UUID:
		return memcmp(a->uuid, b->uuid, sizeof(a->uuid));
	default:
		return mr_str_cmp(a->text, b->text);
	}
}

static bool is_int(enum mr_type t)
{
	return t == MR_T_INT || t == MR_T_BIGINT;
}

bool mr_types_compare(enum mr_type a, enum mr_type b)
{
	return a != MR_T_JSON && (a == b || (is_int(a) && is_int(b)));
}

bool mr_value_eq(const struct mr_value *a, const struct mr_value *b)
{
	if (a->null || b->null)
		return a->null && b->null;
	return mr_value_cmp(a, b) == 0;
}

static void key_word(struct mr_buf *b, char kind, uint64_t w)
{
	mr_buf_char(b, kind);
	mr_buf_add(b, &w, sizeof(w));
}

/* Delimited, so that keys of several values may be joined. */
static void key_text(struct mr_buf *b, char kind, struct mr_str s)
{
	key_word(b, kind, s.n);
	mr_buf_str(b, s);
}

void mr_value_key(struct mr_buf *b, const struct mr_value *v)
{
	uint64_t w;
	double d;
	if (v->null) {
		mr_buf_char(b, '0');
		return;
	}
	switch (v->type) {
	case MR_T_BOOL:
		mr_buf_char(b, v->truth ? 't' : 'f');
		break;
	case MR_T_INT:
	case MR_T_BIGINT:
		key_word(b, 'i', (uint64_t)v->i);
		break;
	case MR_T_DATETIME:
		key_word(b, 'd', (uint64_t)v->i);
		break;
	case MR_T_FLOAT:
		d = isnan(v->d) ? NAN : v->d == 0 ? 0 : v->d;
		memcpy(&w, &d, sizeof(w));
		key_word(b, 'g', w);
		break;
	case MR_T_UUID:
		mr_buf_char(b, 'u');
		mr_buf_add(b, v->uuid, sizeof(v->uuid));
		break;
	default:
		key_text(b, (char)('A' + v->type), v->text);
	}
}

/* Writing */

static void encode_text(struct mr_enc *e, const struct mr_value *v)
{
	struct mr_buf b = {0};
	if (v->type == MR_T_UUID)
		mr_uuid_append(&b, v->uuid);
	else
		mr_datetime_print(&b, v->i);
	mr_enc_str(e, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void encode_int(struct mr_enc *e, const struct mr_value *v)
{
	const int64_t exact = INT64_C(1) << 53;
	char digits[24];
	if (v->type == MR_T_INT && v->i > -exact && v->i < exact) {
		mr_enc_int(e, v->i);
		return;
	}
	int n = snprintf(digits, sizeof(digits), "%" PRId64, v->i);
	mr_enc_bigint(e, (struct mr_str){digits, (size_t)n});
}

/* It was read once when the value was made. */
static void encode_json(struct mr_enc *e, const struct mr_value *v)
{
	if (e->encoding == MR_JSON) {
		mr_enc_raw(e, v->text);
		return;
	}
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *n = mr_json_read(&a, v->text, JSON_DEPTH, false, &err);
	if (n)
		mr_enc_node(e, n);
	else
		mr_enc_null(e);
	mr_arena_fini(&a);
}

void mr_value_encode(struct mr_enc *e, const struct mr_value *v)
{
	if (v->null) {
		mr_enc_null(e);
		return;
	}
	switch (v->type) {
	case MR_T_BOOL:
		mr_enc_bool(e, v->truth);
		break;
	case MR_T_INT:
	case MR_T_BIGINT:
		encode_int(e, v);
		break;
	case MR_T_FLOAT:
		mr_enc_double(e, v->d);
		break;
	case MR_T_UUID:
	case MR_T_DATETIME:
		encode_text(e, v);
		break;
	case MR_T_BYTES:
		mr_enc_bytes(e, v->text);
		break;
	case MR_T_JSON:
		encode_json(e, v);
		break;
	default:
		mr_enc_str(e, v->text);
	}
}

void mr_value_pgtext(struct mr_buf *b, const struct mr_value *v)
{
	switch (v->type) {
	case MR_T_BOOL:
		mr_buf_z(b, v->truth ? "true" : "false");
		break;
	case MR_T_INT:
	case MR_T_BIGINT:
		mr_buf_printf(b, "%" PRId64, v->i);
		break;
	case MR_T_FLOAT:
		mr_double_print(b, v->d);
		break;
	case MR_T_UUID:
		mr_uuid_append(b, v->uuid);
		break;
	case MR_T_DATETIME:
		mr_datetime_print(b, v->i);
		break;
	case MR_T_BYTES:
		mr_buf_z(b, "\\x");
		mr_hex(b, v->text);
		break;
	default:
		mr_buf_str(b, v->text);
	}
}

/* Rows */

static bool hidden(const struct mr_entity *e, size_t field, bool all)
{
	return e->fields[field].server_only && !all;
}

bool mr_field_from_image(struct mr_arena *a, const struct mr_field *f, const struct mr_node *image, struct mr_value *v)
{
	const struct mr_node *n = mr_node_get(image, f->column.p);
	if (!n || f->as != MR_AS_UTC || n->kind != MR_STRING || (*n->text.p | 0x20) == 'i' || n->text.p[0] == '-')
		return n && mr_value_from_image(a, f->type, n, v);
	struct mr_str zoned = mr_arena_printf(a, "%.*sZ", (int)n->text.n, n->text.p);
	*v = (struct mr_value){.type = f->type};
	return mr_datetime_read(zoned, &v->i);
}

bool mr_row_from_image(struct mr_arena *a, const struct mr_entity *e, const struct mr_node *image, struct mr_row *row)
{
	row->entity = e;
	row->v = mr_arena_alloc(a, e->n * sizeof(*row->v));
	for (size_t i = 0; i < e->n; i++) {
		if (mr_field_computed(&e->fields[i]))
			continue;
		if (!mr_field_from_image(a, &e->fields[i], image, &row->v[i]))
			return false;
	}
	for (size_t i = 0; i < e->n_key; i++)
		if (row->v[e->key[i]].null)
			return false;
	mr_key_make(a, e, row->v);
	return true;
}

void mr_row_encode(struct mr_enc *e, const struct mr_row *row, bool all)
{
	size_t n = 0;
	for (size_t i = 0; i < row->entity->n; i++)
		n += !hidden(row->entity, i, all);
	mr_enc_map(e, n);
	for (size_t i = 0; i < row->entity->n; i++) {
		if (hidden(row->entity, i, all))
			continue;
		mr_enc_key(e, row->entity->fields[i].name);
		mr_value_encode(e, &row->v[i]);
	}
	mr_enc_end(e);
}

static bool differs(const struct mr_value *was, const struct mr_value *now)
{
	return !mr_value_eq(was, now) || (was->type == MR_T_FLOAT && !was->null && signbit(was->d) != signbit(now->d));
}

bool mr_row_differs(const struct mr_row *was, const struct mr_row *now, mr_fields fields)
{
	for (size_t i = 0; i < now->entity->n; i++)
		if ((fields & mr_field_bit((int)i)) && differs(&was->v[i], &now->v[i]))
			return true;
	return false;
}

static bool changed(const struct mr_row *was, const struct mr_row *now, size_t field)
{
	return !hidden(now->entity, field, false) && !mr_value_eq(&was->v[field], &now->v[field]);
}

size_t mr_row_encode_changes(struct mr_enc *e, const struct mr_row *was, const struct mr_row *now)
{
	size_t n = 0;
	for (size_t i = 0; i < now->entity->n; i++)
		n += changed(was, now, i);
	if (!n)
		return 0;
	mr_enc_map(e, n);
	for (size_t i = 0; i < now->entity->n; i++) {
		if (!changed(was, now, i))
			continue;
		mr_enc_key(e, now->entity->fields[i].name);
		mr_value_encode(e, &now->v[i]);
	}
	mr_enc_end(e);
	return n;
}

uint64_t mr_row_hash(const struct mr_row *row)
{
	struct mr_buf b = {0};
	for (size_t i = 0; i < row->entity->n; i++)
		if (!hidden(row->entity, i, false))
			mr_value_key(&b, &row->v[i]);
	uint64_t h = mr_hash_fixed(b.p, b.n, row->entity->shape);
	mr_buf_fini(&b);
	return h;
}
