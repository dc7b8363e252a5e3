#include "ws_extensions.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LEAST_BITS = 8, MOST_BITS = 15, VALUE_MOST = 16 };

struct reader {
	const char *p, *end;
	bool bad;
};

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
		r->p++;
}

/* Takes the character if it is next, with the blanks around it. */
static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	skip_blanks(r);
	return true;
}

/* RFC 2616 2.2 */
static bool is_token_char(char c)
{
	return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static struct mr_str token(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && is_token_char(*r->p))
		r->p++;
	r->bad |= r->p == from;
	return (struct mr_str){from, (size_t)(r->p - from)};
}

struct value {
	bool given;
	size_t n;
	char text[VALUE_MOST]; /* cut: nothing that we know is as long */
};

static void add_char(struct reader *r, struct value *v, char c)
{
	r->bad |= !is_token_char(c);
	if (v->n < sizeof(v->text))
		v->text[v->n++] = c;
}

/* What is in quotes must be a token when the quotes and backslashes are gone. */
static void quoted(struct reader *r, struct value *v)
{
	while (r->p < r->end && *r->p != '"') {
		if (*r->p == '\\' && ++r->p == r->end)
			break;
		add_char(r, v, *r->p++);
	}
	r->bad |= r->p == r->end || !v->n;
	if (!r->bad)
		r->p++;
}

static struct value value(struct reader *r)
{
	struct value v = {.given = true};

	if (r->p < r->end && *r->p == '"') {
		r->p++;
		quoted(r, &v);
		return v;
	}
	struct mr_str t = token(r);
	for (size_t i = 0; i < t.n; i++)
		add_char(r, &v, t.p[i]);
	return v;
}

/* 8 to 15, without zeros in front; else 0. */
static int bits(const struct value *v)
{
	int n = 0;

	if (!v->n || v->n > 2 || v->text[0] == '0')
		return 0;
	for (size_t i = 0; i < v->n; i++) {
		if (v->text[i] < '0' || v->text[i] > '9')
			return 0;
		n = 10 * n + v->text[i] - '0';
	}
	return n >= LEAST_BITS && n <= MOST_BITS ? n : 0;
}

enum param { SERVER_NO_TAKEOVER, CLIENT_NO_TAKEOVER, SERVER_BITS, CLIENT_BITS, PARAMS };
static const char *const names[PARAMS] = {
	"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits"};

static bool name_is(struct mr_str s, const char *name)
{
	return s.n == strlen(name) && strncasecmp(s.p, name, s.n) == 0;
}

/* Whether the parameter is one of RFC 7692 7.1, with a value that it may have, and for the first time. */
static bool param_ok(struct mr_str name, const struct value *v, bool seen[PARAMS], struct mr_ws_deflate *d)
{
	for (int p = 0; p < PARAMS; p++) {
		if (!name_is(name, names[p]))
			continue;
		if (seen[p])
			return false;
		seen[p] = true;
		if (p == SERVER_NO_TAKEOVER || p == CLIENT_NO_TAKEOVER)
			return !v->given;
		if (p == SERVER_BITS)
			d->server_bits = bits(v);
		return bits(v) || (p == CLIENT_BITS && !v->given);
	}
	return false;
}

/* Reads one offer to its end; true when we can take it. */
static bool read_offer(struct reader *r, struct mr_ws_deflate *d)
{
	bool seen[PARAMS] = {false}, ok = name_is(token(r), "permessage-deflate");

	*d = (struct mr_ws_deflate){0};
	while (!r->bad && take(r, ';')) {
		struct mr_str name = token(r);
		struct value v = {0};
		if (!r->bad && take(r, '='))
			v = value(r);
		ok &= param_ok(name, &v, seen, d);
	}
	return ok && !r->bad;
}

enum mr_ws_extension mr_ws_choose_extension(struct mr_str header, struct mr_ws_deflate *deflate)
{
	struct reader r = {header.p, header.n ? header.p + header.n : header.p, false};
	struct mr_ws_deflate offer, first = {0};
	bool found = false, any = false;

	do { /* empty elements are allowed in a list, but not a list of nothing else */
		skip_blanks(&r);
		if (r.p == r.end || *r.p == ',')
			continue;
		any = true;
		if (read_offer(&r, &offer) && !found) {
			found = true;
			first = offer;
		}
	} while (!r.bad && take(&r, ','));
	if (r.bad || !any || r.p != r.end)
		return MR_WS_EXTENSION_BAD;
	if (!found)
		return MR_WS_NO_EXTENSION;
	*deflate = first;
	return MR_WS_DEFLATE;
}

void mr_ws_deflate_answer(const struct mr_ws_deflate *deflate, char out[128])
{
	int n = snprintf(out, 128, "permessage-deflate; %s; %s", names[SERVER_NO_TAKEOVER], names[CLIENT_NO_TAKEOVER]);

	if (deflate->server_bits)
		snprintf(out + n, 128 - (size_t)n, "; %s=%d", names[SERVER_BITS], deflate->server_bits);
}

/* The pieces of a message are made once for all clients, with a window of 32 KiB. A client that can keep less gets messages that are not
 * compressed, which the extension allows for any message; what it sends may be. */
bool mr_ws_deflate_out(const struct mr_ws_deflate *deflate)
{
	return !deflate->server_bits || deflate->server_bits == MOST_BITS;
}
