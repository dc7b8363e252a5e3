#include "keys_fetch.h"

#include <curl/curl.h>
#include <unistd.h>

#include "proto/ground/address.h"
#include "proto/ground/log.h"

enum { TIME_MS = 5000, CONNECT_MS = 3000, BYTES = 256 << 10, REDIRECTS = 3 };

struct fetch {
	CURL *curl;
	bool with_private;
	const atomic_bool *stop;
	struct mr_buf *body;
	bool refused, too_large;
};

void mr_keys_fetch_init(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		mr_die("libcurl, which fetches the keys of issuers, cannot be set up");
}

/* Called with what the name means now, for each address that is tried. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *f = arg;
	if (!f->with_private && !mr_address_public(&address->addr, address->addrlen)) {
		f->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t take(char *bytes, size_t one, size_t n, void *arg)
{
	struct fetch *f = arg;
	if (f->body->n + n > BYTES) {
		f->too_large = true;
		return 0;
	}
	mr_buf_add(f->body, bytes, n);
	return n;
}

static int go_on(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	const struct fetch *f = arg;
	if (!atomic_load_explicit(f->stop, memory_order_relaxed))
		return 0;
	curl_easy_setopt(f->curl, CURLOPT_QUICK_EXIT, 1L); /* no waiting for a name that is looked up */
	return 1;
}

static void set_up(CURL *c, const char *url, struct fetch *f)
{
	const char *schemes = f->with_private ? "http,https" : "https";
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, schemes);
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, schemes);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS);
	curl_easy_setopt(c, CURLOPT_PROXY, ""); /* its address would be looked at in place of the one that matters */
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, f);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, go_on);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, f);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)TIME_MS);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "millrace");
}

static bool failed(const struct fetch *f, CURLcode code, const char *text, struct mr_error *err)
{
	if (f->refused)
		return mr_fail(err, MR_BAD_VALUE,
			"its address is not of the public internet (auth_jwks_private allows loopback and private networks)");
	if (f->too_large)
		return mr_fail(err, MR_BAD_VALUE, "it is longer than %d KB", BYTES >> 10);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return mr_fail(err, MR_BAD_VALUE, "it took longer than %d s", TIME_MS / 1000);
	if (code == CURLE_UNSUPPORTED_PROTOCOL)
		return mr_fail(err, MR_BAD_VALUE, "it leads to a URL that is not https");
	return mr_fail(err, MR_BAD_VALUE, "%s", *text ? text : curl_easy_strerror(code));
}

bool mr_keys_fetch(const char *url, bool with_private, const atomic_bool *stop, struct mr_buf *body, struct mr_error *err)
{
	CURL *c = curl_easy_init();
	struct fetch f = {.curl = c, .with_private = with_private, .stop = stop, .body = body};
	char text[CURL_ERROR_SIZE] = "";
	long status = 0;
	MR_ASSERT(c);
	set_up(c, url, &f);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text);
	CURLcode code = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(c);
	if (code != CURLE_OK)
		return failed(&f, code, text, err);
	return status == 200 || mr_fail(err, MR_BAD_VALUE, "it was answered with status %ld", status);
}
