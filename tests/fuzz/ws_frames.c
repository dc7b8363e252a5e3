/* Any bytes, cut into pieces as the first byte says, with or without permessage-deflate: no crash, no read beyond the piece, no message
 * above the limit, and the same events as in one piece.
 */
#include <stdint.h>
#include <stdlib.h>

#include "fanout/ws.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"

enum { MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t note(uint64_t hash, const struct mr_ws_event *ev)
{
	struct mr_utf8 u = {0};

	MR_ASSERT(ev->payload.n <= MAX);
	if (ev->kind == MR_WS_CLOSE)
		MR_ASSERT(ev->code == 1005 || (mr_ws_code_ok(ev->code) && mr_utf8_feed(&u, ev->payload.p, ev->payload.n)));
	if (ev->kind == MR_WS_PING || ev->kind == MR_WS_PONG)
		MR_ASSERT(ev->payload.n <= MR_WS_CONTROL_MAX);
	return mr_hash_fixed(ev->payload.n ? ev->payload.p : "", ev->payload.n, hash * 31 + (uint64_t)ev->kind + (uint64_t)ev->code * 7);
}

static uint64_t run(const uint8_t *data, size_t n, enum mr_encoding encoding, bool deflates, size_t piece)
{
	static struct mr_deflate *inflater;
	struct mr_ws_reader r;
	uint64_t hash = 1;

	if (!inflater)
		inflater = mr_deflate_new();
	mr_ws_reader_init(&r, encoding, MAX, deflates);
	for (size_t at = 0; at < n && !r.broken;) {
		size_t take = MR_MIN(piece, n - at), left = take;
		char *copy = malloc(take), *p = copy;
		struct mr_ws_event ev;
		memcpy(copy, data + at, take);
		while ((ev = mr_ws_read(&r, inflater, &p, &left)).kind != MR_WS_MORE) {
			hash = note(hash, &ev);
			if (encoding == MR_JSON && ev.kind == MR_WS_MESSAGE) {
				struct mr_utf8 u = {0};
				MR_ASSERT(mr_utf8_feed(&u, ev.payload.p, ev.payload.n) && mr_utf8_whole(&u));
			}
			if (ev.kind == MR_WS_BAD || ev.kind == MR_WS_CLOSE)
				break;
		}
		free(copy);
		at += take;
	}
	mr_ws_reader_fini(&r);
	return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 2)
		return 0;
	enum mr_encoding encoding = data[0] & 1 ? MR_JSON : MR_MSGPACK;
	bool deflates = data[0] & 2;
	size_t piece = 1 + (data[0] >> 2);
	MR_ASSERT(run(data + 1, n - 1, encoding, deflates, piece) == run(data + 1, n - 1, encoding, deflates, n));
	return 0;
}
