/* WebSockets: the upgrade. There is no Origin check: an upgrade carries no authority, since tokens travel in messages and cookies are not
 * used.
 */
#include <stdlib.h>

#include "net_ws.h"
#include "proto/ground/log.h"
#include "rates.h"

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

/* What was asked for and is agreed to. */
struct terms {
	enum mr_encoding encoding;
	char accept[29];
	bool deflate;
	struct mr_ws_deflate how;
};

/* False: a header that is not by the grammar, which ends the upgrade whether or not we would have taken an offer. */
static bool choose_extension(const struct mr_req *req, struct terms *t)
{
	const h2o_req_t *h = req->h2o;

	for (ssize_t at = -1; (at = h2o_find_header_by_str(&h->headers, H2O_STRLIT("sec-websocket-extensions"), at)) != -1;) {
		h2o_iovec_t value = h->headers.entries[at].value;
		struct mr_ws_deflate how;
		enum mr_ws_extension got = mr_ws_choose_extension((struct mr_str){value.base, value.len}, &how);
		if (got == MR_WS_EXTENSION_BAD)
			return false;
		if (got == MR_WS_DEFLATE && !t->deflate && req->net->config.compress) {
			t->deflate = true;
			t->how = how;
		}
	}
	return true;
}

static bool check_upgrade(struct mr_req *req, struct terms *t, struct mr_error *err)
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
	if (!mr_ws_accept(mr_req_header(req, "sec-websocket-key"), t->accept))
		return mr_fail(err, MR_BAD_MESSAGE, "Sec-WebSocket-Key is not 16 bytes in base64");
	if (!choose_protocol(h, &t->encoding))
		return mr_fail(
			err, MR_BAD_MESSAGE, "offer the subprotocol millrace.v1.msgpack or millrace.v1.json in Sec-WebSocket-Protocol");
	if (!choose_extension(req, t))
		return mr_fail(err, MR_BAD_MESSAGE, "Sec-WebSocket-Extensions is not as RFC 6455 9.1 says");
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

static struct mr_ws *make(struct mr_req *req, const struct terms *t)
{
	struct mr_ws *ws = mr_ws_new(req->net, t->encoding, t->deflate ? &t->how : NULL);

	ws->address = mr_req_address(req);
	ws->entered = req->entered;
	req->entered = 0;
	return ws;
}

static void upgrade(struct mr_req *req, const struct terms *t)
{
	char extension[128];

	mr_req_add_header(req, "Upgrade", "websocket");
	mr_req_add_header(req, "Sec-WebSocket-Accept", t->accept);
	mr_req_add_header(req, "Sec-WebSocket-Protocol", t->encoding == MR_JSON ? "millrace.v1.json" : "millrace.v1.msgpack");
	if (t->deflate) {
		mr_ws_deflate_answer(&t->how, extension);
		mr_req_add_header(req, "Sec-WebSocket-Extensions", extension);
	}
	mr_req_begin(req, 101, NULL);
	h2o_http1_upgrade(req->h2o, NULL, 0, on_upgraded, make(req, t));
}

void mr_net_ws_request(struct mr_req *req)
{
	struct terms t = {.encoding = MR_MSGPACK};
	struct mr_error err = {0};

	if (mr_rates_address(req->net->config.rates, mr_req_address(req), &err) && check_upgrade(req, &t, &err) && mr_req_enter(req, &err))
		upgrade(req, &t);
	else
		mr_req_error(req, &err);
}
