/* WebSockets: the upgrade. There is no Origin check: an upgrade carries no authority, since tokens travel in messages and cookies are not
 * used. permessage-deflate is not spoken: an offer is passed over, as the RFC allows.
 */
#include <stdlib.h>

#include "net_ws.h"
#include "proto/ground/log.h"

static bool fail_upgrade(struct mr_req *req, struct mr_error *err)
{
	mr_req_add_header(req, "Upgrade", "websocket");
	mr_req_add_header(req, "Sec-WebSocket-Version", "13");
	return mr_fail(err, MR_PROTOCOL_MISMATCH, "this is a WebSocket of version 13 (RFC 6455)");
}

/* The first offered subprotocol that we know, in the client's order. */
static bool choose_protocol(const h2o_req_t *h, enum mr_encoding *encoding)
{
	static const char *const names[MR_ENCODINGS] = {[MR_JSON] = "millrace.v1.json", [MR_MSGPACK] = "millrace.v1.msgpack"};

	for (ssize_t at = -1; (at = h2o_find_header_by_str(&h->headers, H2O_STRLIT("sec-websocket-protocol"), at)) != -1;) {
		h2o_iovec_t list = h->headers.entries[at].value;
		size_t n;
		for (const char *name; (name = h2o_next_token(&list, ',', &n, NULL)) != NULL;)
			for (int e = 0; e < MR_ENCODINGS; e++)
				if (mr_str_is((struct mr_str){name, n}, names[e])) {
					*encoding = (enum mr_encoding)e;
					return true;
				}
	}
	return false;
}

static bool check_upgrade(struct mr_req *req, enum mr_encoding *encoding, char accept[29], struct mr_error *err)
{
	const h2o_req_t *h = req->h2o;

	if (!mr_str_is(mr_req_method(req), "GET")) {
		mr_req_add_header(req, "Allow", "GET");
		return mr_fail(err, MR_METHOD_NOT_ALLOWED, "a WebSocket is opened with GET");
	}
	if (h->version < 0x101 || !h->upgrade.base || !h2o_lcstris(h->upgrade.base, h->upgrade.len, H2O_STRLIT("websocket")))
		return fail_upgrade(req, err);
	if (!mr_str_is(mr_req_header(req, "sec-websocket-version"), "13"))
		return fail_upgrade(req, err);
	if (!mr_ws_accept(mr_req_header(req, "sec-websocket-key"), accept))
		return mr_fail(err, MR_BAD_MESSAGE, "Sec-WebSocket-Key is not 16 bytes in base64");
	if (!choose_protocol(h, encoding))
		return mr_fail(
			err, MR_BAD_MESSAGE, "offer the subprotocol millrace.v1.msgpack or millrace.v1.json in Sec-WebSocket-Protocol");
	return true;
}

static void on_upgraded(void *arg, h2o_socket_t *sock, size_t request_bytes)
{
	struct mr_ws *ws = arg;

	if (!sock) {
		mr_ws_delete(ws);
		return;
	}
	h2o_buffer_consume(&sock->input, request_bytes);
	mr_ws_start(ws, sock);
}

static void upgrade(struct mr_req *req, enum mr_encoding encoding, const char *accept)
{
	mr_req_add_header(req, "Upgrade", "websocket");
	mr_req_add_header(req, "Sec-WebSocket-Accept", accept);
	mr_req_add_header(req, "Sec-WebSocket-Protocol", encoding == MR_JSON ? "millrace.v1.json" : "millrace.v1.msgpack");
	mr_req_begin(req, 101, NULL);
	h2o_http1_upgrade(req->h2o, NULL, 0, on_upgraded, mr_ws_new(req->net, encoding));
}

void mr_net_ws_request(struct mr_req *req)
{
	enum mr_encoding encoding = MR_MSGPACK;
	char accept[29];
	struct mr_error err = {0};

	if (check_upgrade(req, &encoding, accept, &err))
		upgrade(req, encoding, accept);
	else
		mr_req_error(req, &err);
}
