/* Positions as opaque text: base64url of a compact binary form, a dot, base64url of 16 bytes of HMAC-SHA256 over the first part.
 *
 * Binary: version (1), then varints: system, timeline, seq, xmin, xmax - xmin, number of running xids, each as the distance to the one
 * before; the tag as 8 bytes little-endian before the snapshot.
 */
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "snapshot.h"

enum { POSITION_VERSION = 1, MAC_BYTES = 16, MAC_CHARS = 22, POSITION_MAX = 4096 };

void mr_position_fini(struct mr_position *p)
{
	mr_snapshot_fini(&p->snapshot);
	*p = (struct mr_position){0};
}

void mr_position_copy(struct mr_position *to, const struct mr_position *from)
{
	if (to == from)
		return;
	mr_snapshot_copy(&to->snapshot, &from->snapshot);
	to->system = from->system;
	to->timeline = from->timeline;
	to->seq = from->seq;
	to->tag = from->tag;
}

static void put_varint(struct mr_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		mr_buf_char(b, (char)(v | 0x80));
	mr_buf_char(b, (char)v);
}

static bool get_varint(struct mr_str *s, uint64_t *value)
{
	uint64_t v = 0;
	for (int shift = 0; s->n && shift < 64; shift += 7) {
		uint8_t byte = (uint8_t)*s->p;
		s->p++;
		s->n--;
		if (shift == 63 && byte > 1)
			return false;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = v;
			return true;
		}
	}
	return false;
}

static void put_fields(struct mr_buf *b, const struct mr_position *p)
{
	mr_buf_char(b, POSITION_VERSION);
	put_varint(b, p->system);
	put_varint(b, p->timeline);
	put_varint(b, (uint64_t)p->seq);
	for (int i = 0; i < 8; i++)
		mr_buf_char(b, (char)(p->tag >> (8 * i)));
}

static void put_snapshot(struct mr_buf *b, const struct mr_snapshot *s)
{
	put_varint(b, s->xmin);
	put_varint(b, s->xmax - s->xmin);
	put_varint(b, s->n);
	uint64_t last = s->xmin;
	for (size_t i = 0; i < s->n; i++) {
		put_varint(b, s->xip[i] - last);
		last = s->xip[i];
	}
}

static bool get_snapshot(struct mr_str *s, struct mr_snapshot *snapshot)
{
	uint64_t xmin, distance, n, last;
	if (!get_varint(s, &xmin) || !get_varint(s, &distance) || !get_varint(s, &n))
		return false;
	if (!xmin || distance > UINT64_MAX - xmin || n > s->n)
		return false;
	snapshot->xmin = last = xmin;
	snapshot->xmax = xmin + distance;
	if (n)
		snapshot->xip = mr_alloc(n * sizeof(*snapshot->xip));
	for (size_t i = 0; i < n; i++) {
		uint64_t step;
		if (!get_varint(s, &step) || step >= snapshot->xmax - last || (i && !step))
			return false;
		snapshot->xip[i] = last += step;
		snapshot->n = i + 1;
	}
	return true;
}

static bool get_fields(struct mr_str s, struct mr_position *p)
{
	uint64_t version, timeline, seq;
	if (!get_varint(&s, &version) || version != POSITION_VERSION)
		return false;
	if (!get_varint(&s, &p->system) || !get_varint(&s, &timeline) || !get_varint(&s, &seq))
		return false;
	if (timeline > UINT32_MAX || seq > INT64_MAX || s.n < 8)
		return false;
	p->timeline = (uint32_t)timeline;
	p->seq = (int64_t)seq;
	for (int i = 0; i < 8; i++)
		p->tag |= (uint64_t)(uint8_t)s.p[i] << (8 * i);
	s.p += 8;
	s.n -= 8;
	return get_snapshot(&s, &p->snapshot) && s.n == 0;
}

/* The secret also signs other things; the label keeps their signatures apart. */
static void sign(struct mr_str encoded, struct mr_str secret, uint8_t mac[32])
{
	struct mr_buf b = {0};
	mr_buf_z(&b, "millrace position\n");
	mr_buf_str(&b, encoded);
	mr_hmac_sha256(secret, mr_buf_view(&b), mac);
	mr_buf_fini(&b);
}

void mr_position_print(struct mr_buf *b, const struct mr_position *p, struct mr_str secret)
{
	MR_ASSERT(p->seq >= 0 && p->snapshot.xmin <= p->snapshot.xmax);
	struct mr_buf fields = {0};
	put_fields(&fields, p);
	size_t head = fields.n;
	put_snapshot(&fields, &p->snapshot);
	if ((fields.n + 2) / 3 * 4 + 1 + MAC_CHARS > POSITION_MAX) {
		/* Thousands of running transactions: a position that has seen less is as good, since what comes twice is idempotent. */
		struct mr_snapshot older = {.xmin = p->snapshot.xmin, .xmax = p->snapshot.xmin};
		fields.n = head;
		put_snapshot(&fields, &older);
	}
	size_t from = b->n;
	uint8_t mac[32];
	mr_base64url(b, mr_buf_view(&fields));
	sign((struct mr_str){b->p + from, b->n - from}, secret, mac);
	mr_buf_char(b, '.');
	mr_base64url(b, (struct mr_str){(const char *)mac, MAC_BYTES});
	mr_buf_fini(&fields);
}

static bool signature_holds(struct mr_str encoded, struct mr_str signature, struct mr_str secret)
{
	struct mr_buf given = {0};
	uint8_t mac[32];
	sign(encoded, secret, mac);
	bool ok = signature.n == MAC_CHARS && mr_base64url_read(&given, signature) && given.n == MAC_BYTES &&
		  mr_equal_ct(given.p, mac, MAC_BYTES);
	mr_buf_fini(&given);
	return ok;
}

bool mr_position_read(struct mr_str text, struct mr_str secret, struct mr_position *p)
{
	if (text.n > POSITION_MAX || text.n < MAC_CHARS + 2)
		return false;
	struct mr_str encoded = {text.p, text.n - MAC_CHARS - 1};
	struct mr_str signature = {text.p + text.n - MAC_CHARS, MAC_CHARS};
	if (text.p[encoded.n] != '.' || !signature_holds(encoded, signature, secret))
		return false;
	struct mr_buf fields = {0};
	struct mr_position read = {0};
	bool ok = mr_base64url_read(&fields, encoded) && get_fields(mr_buf_view(&fields), &read);
	if (ok) {
		mr_position_fini(p);
		*p = read;
	} else {
		mr_position_fini(&read);
	}
	mr_buf_fini(&fields);
	return ok;
}
