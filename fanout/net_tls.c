#include "net_tls.h"

#include <openssl/err.h>
#include <string.h>

#include "proto/ground/log.h"

static const unsigned char protocols[] = "\x08http/1.1"; /* h2o's HTTP/2 has known holes */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned n_in, void *arg)
{
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, n, protocols, sizeof protocols - 1, in, n_in) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool refuse(struct mr_error *err, const char *setting, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_get_error());
	ERR_clear_error();
	return mr_fail(err, MR_BAD_VALUE, "%s: %s cannot be used: %s.", setting, path, reason ? reason : "it is not what it should be");
}

static bool load(SSL_CTX *context, const struct mr_tls *tls, struct mr_error *err)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, tls->certificate) != 1)
		return refuse(err, "tls_certificate", tls->certificate);
	if (SSL_CTX_use_PrivateKey_file(context, tls->key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
		return refuse(err, "tls_key", tls->key);
	return true;
}

/* An idle connection keeps no buffers, and the server no sessions: tickets, which clients keep, serve those who come back. */
static void tune(SSL_CTX *context)
{
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
}

static SSL_CTX *make(const struct mr_tls *tls, struct mr_error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context)
		mr_die("TLS cannot be set up: out of memory");
	tune(context);
	if (load(context, tls, err))
		return context;
	SSL_CTX_free(context);
	return NULL;
}

static void when_changed(const char *path, struct timespec *at)
{
	struct stat st;
	if (stat(path, &st) == 0)
		*at = st.st_mtim;
}

static bool note_changes(struct mr_tls *tls)
{
	struct timespec was[2];
	memcpy(was, tls->changed, sizeof was);
	when_changed(tls->certificate, &tls->changed[0]);
	when_changed(tls->key, &tls->changed[1]);
	return memcmp(was, tls->changed, sizeof was) != 0;
}

bool mr_tls_open(struct mr_tls *tls, const char *certificate, const char *key, struct mr_error *err)
{
	*tls = (struct mr_tls){.certificate = certificate, .key = key};
	note_changes(tls);
	tls->context = make(tls, err);
	return tls->context != NULL;
}

bool mr_tls_look(struct mr_tls *tls)
{
	struct mr_error err;
	if (!tls->context || !note_changes(tls))
		return false;
	SSL_CTX *context = make(tls, &err);
	if (!context) {
		mr_log(MR_WARN, "%s The certificate before stays in use.", err.message);
		return false;
	}
	SSL_CTX_free(tls->context);
	tls->context = context;
	mr_log(MR_INFO, "the certificate %s was renewed", tls->certificate);
	return true;
}

void mr_tls_close(struct mr_tls *tls)
{
	SSL_CTX_free(tls->context);
	tls->context = NULL;
}
