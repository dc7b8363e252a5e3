/* Where connections and requests come from, and how many of one address are open. */
#include "net_inner.h"
#include "rates.h"

enum { HEADER_LINES = 32 /* of the proxies' header, the last ones; theirs come last */ };

enum mr_peer mr_net_peer(const struct mr_net *net, const struct sockaddr *address, uint64_t *key)
{
	struct mr_ip ip;

	*key = 0;
	if (!mr_ip_of(address, &ip))
		return MR_PEER_LOCAL;
	if (mr_ip_ranges_have(&net->config.proxies, &ip))
		return MR_PEER_PROXY;
	*key = mr_ip_key(&ip);
	return MR_PEER_CLIENT;
}

static size_t header_lines(const struct mr_req *req, const char *name, struct mr_str *lines)
{
	const h2o_headers_t *headers = &req->h2o->headers;
	size_t n = 0;

	for (ssize_t at = -1; (at = h2o_find_header_by_str(headers, name, strlen(name), at)) != -1;) {
		if (n == HEADER_LINES)
			memmove(lines, lines + 1, --n * sizeof *lines);
		lines[n++] = (struct mr_str){headers->entries[at].value.base, headers->entries[at].value.len};
	}
	return n;
}

/* Asked of the kernel: h2o would keep the answer on the heap for as long as the connection lives. */
static enum mr_peer peer_of(const struct mr_req *req, struct sockaddr_storage *address, uint64_t *key)
{
	h2o_conn_t *conn = req->h2o->conn;
	socklen_t n = sizeof *address;

	*key = 0;
	if (getpeername(h2o_socket_get_fd(conn->callbacks->get_socket(conn)), (struct sockaddr *)address, &n) != 0)
		return MR_PEER_LOCAL;
	return mr_net_peer(req->net, (struct sockaddr *)address, key);
}

uint64_t mr_req_address(const struct mr_req *req)
{
	static const char *const names[] = {[MR_X_FORWARDED_FOR] = "x-forwarded-for", [MR_FORWARDED] = "forwarded"};
	const struct mr_net_config *c = &req->net->config;
	struct sockaddr_storage address;
	struct mr_str lines[HEADER_LINES];
	struct mr_ip peer;
	uint64_t key;

	if (peer_of(req, &address, &key) != MR_PEER_PROXY || !mr_ip_of((struct sockaddr *)&address, &peer))
		return key;
	size_t n = header_lines(req, names[c->proxy_header], lines);
	peer = mr_ip_behind(&c->proxies, &peer, c->proxy_header, lines, n);
	return mr_ip_key(&peer);
}

bool mr_req_is_tls(const struct mr_req *req)
{
	static const char *const names[] = {[MR_X_FORWARDED_FOR] = "x-forwarded-proto", [MR_FORWARDED] = "forwarded"};
	const struct mr_net_config *c = &req->net->config;
	enum mr_scheme scheme = MR_SCHEME_UNSAID;
	struct sockaddr_storage address;
	struct mr_str lines[HEADER_LINES];
	uint64_t key;

	if (peer_of(req, &address, &key) == MR_PEER_PROXY)
		scheme = mr_scheme_behind(&c->proxies, c->proxy_header, lines, header_lines(req, names[c->proxy_header], lines));
	return scheme == MR_SCHEME_UNSAID ? req->net->tls.context != NULL : scheme == MR_SCHEME_HTTPS;
}

/* A connection of a client's own was counted when it came. */
bool mr_req_enter(struct mr_req *req, struct mr_error *err)
{
	struct sockaddr_storage address;
	uint64_t key;

	if (req->entered || peer_of(req, &address, &key) != MR_PEER_PROXY)
		return true;
	key = mr_req_address(req);
	if (!mr_rates_enter(req->net->config.rates, key))
		return mr_fail_data(err, MR_TOO_MANY_CONNECTIONS, "{\"setting\":\"connections_per_address\"}",
			"Your address has as many connections as it may (setting connections_per_address).");
	req->entered = key;
	return true;
}
