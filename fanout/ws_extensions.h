/* Sec-WebSocket-Extensions (RFC 6455 9.1), of which we speak permessage-deflate (RFC 7692) and pass over all others. Pure parsing. */
#ifndef MR_WS_EXTENSIONS_H
#define MR_WS_EXTENSIONS_H

#include "proto/ground/mem.h"

enum mr_ws_extension {
	MR_WS_NO_EXTENSION, /* nothing was offered that we take */
	MR_WS_DEFLATE,
	MR_WS_EXTENSION_BAD, /* not by the grammar: the upgrade is refused */
};

struct mr_ws_deflate {
	/* Largest window, in bits, that we may use towards the client: it demands that; 0: it does not say. */
	int server_bits;
};

/* The first acceptable offer in the value of the header. Where the header came several times, call for each until one is taken; *deflate is
 * written with MR_WS_DEFLATE only. */
enum mr_ws_extension mr_ws_choose_extension(struct mr_str value, struct mr_ws_deflate *deflate);
/* The value of our header. */
void mr_ws_deflate_answer(const struct mr_ws_deflate *deflate, char out[128]);
/* Whether we may compress towards the client: we use the full window, and nothing smaller. */
bool mr_ws_deflate_out(const struct mr_ws_deflate *deflate);

#endif
