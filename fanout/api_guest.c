/* Guests: callers that this server names itself. */
#include <inttypes.h>
#include <stdio.h>

#include "api_inner.h"
#include "proto/ground/hash.h"
#include "proto/jwt.h"
#include "rates.h"

enum { GUEST_NAME_MAX = 64 };

/* Version 7: milliseconds, then chance. */
static void uuid(char out[37])
{
	uint8_t b[16];
	uint64_t ms = (uint64_t)mr_wall_us() / 1000;

	mr_random(b, sizeof(b));
	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6],
		b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static struct mr_str trim(struct mr_str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\n'))
		s = (struct mr_str){s.p + 1, s.n - 1};
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}

static bool guest_name(const struct mr_node *body, struct mr_str *name, struct mr_error *err)
{
	const struct mr_node *given = mr_node_get(body, "name");

	*name = MR_STR("Guest");
	if (!given || given->kind == MR_NULL)
		return true;
	if (given->kind != MR_STRING)
		return mr_fail(err, MR_BAD_ARGS, "name must be a string");
	*name = trim(given->text);
	if (name->n == 0 || name->n > GUEST_NAME_MAX)
		return mr_fail(err, MR_BAD_ARGS, "name must have 1 to %d bytes", GUEST_NAME_MAX);
	return true;
}

static bool allowed(const struct mr_fanout *f, struct mr_error *err)
{
	const char *setting = f->settings.auth_guests;
	if (strcmp(setting, "on") == 0 || (strcmp(setting, "development") == 0 && strcmp(f->settings.mode, "development") == 0))
		return true;
	return mr_fail(err, MR_NOT_FOUND, "Guests may not sign in here (auth_guests).");
}

/* The claims (all but the end of their map), with the time from now on; and the answer. */
static void give_token(struct mr_req *req, const struct mr_fanout *f, struct mr_buf *claims, struct mr_str user, struct mr_str name)
{
	struct mr_buf answer = {0};
	int64_t now = mr_wall_us() / 1000000, seconds = (f->settings.auth_guest_time + 999) / 1000;

	mr_buf_printf(claims, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now, now + seconds);
	mr_buf_z(&answer, "{\"token\":\"");
	mr_jwt_sign(&answer, f->secret, mr_buf_view(claims));
	mr_buf_z(&answer, "\",\"userId\":");
	mr_json_quote(&answer, user);
	mr_buf_z(&answer, ",\"name\":");
	mr_json_quote(&answer, name);
	mr_buf_printf(&answer, ",\"seconds\":%" PRId64 "}\n", seconds);
	mr_api_reply(req, 200, mr_buf_view(&answer));
	mr_buf_fini(&answer);
}

static void sign_in(struct mr_req *req, const struct mr_fanout *f, struct mr_str name)
{
	struct mr_buf claims = {0};
	char id[37], user[sizeof(id) + sizeof(MR_GUESTS)];

	uuid(id);
	snprintf(user, sizeof(user), MR_GUESTS "%s", id);
	mr_buf_printf(&claims, "{\"sub\":\"%s\",\"name\":", user);
	mr_json_quote(&claims, name);
	give_token(req, f, &claims, mr_str(user), name);
	mr_buf_fini(&claims);
}

void mr_api_guest(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_error err = {0};
	struct mr_str text, name;
	bool may = allowed(f, &err) && mr_rates_caller(f->rates, MR_STR(""), mr_req_address(req), &err);
	const struct mr_node *body = may ? mr_api_body(req, f, &text, &err) : NULL;

	if (body && guest_name(body, &name, &err))
		sign_in(req, f, name);
	else
		mr_req_error(req, &err);
}

/* Guests are ours alone: no issuer can name one. */
static bool is_guest(const struct mr_node *auth, struct mr_error *err)
{
	struct mr_str user = mr_node_str(auth, "userId");

	if (!auth)
		return mr_fail(err, MR_UNAUTHENTICATED, "Send the guest's token, as `Authorization: Bearer <token>`.");
	if (user.n < sizeof(MR_GUESTS) || memcmp(user.p, MR_GUESTS, sizeof(MR_GUESTS) - 1) != 0)
		return mr_fail(err, MR_FORBIDDEN, "Only the tokens of guests are renewed here; ask whoever signed this one.");
	return true;
}

static void renew(struct mr_req *req, const struct mr_fanout *f, const struct mr_node *auth)
{
	struct mr_buf claims = {0};
	struct mr_enc e;

	mr_buf_z(&claims, "{\"sub\":");
	mr_json_quote(&claims, mr_node_str(auth, "userId"));
	for (size_t i = 0; i < auth->n; i++) {
		if (mr_str_is(auth->items[i].key, "userId"))
			continue;
		mr_buf_char(&claims, ',');
		mr_json_quote(&claims, auth->items[i].key);
		mr_buf_char(&claims, ':');
		mr_enc_init(&e, &claims, MR_JSON);
		mr_enc_node(&e, &auth->items[i]);
	}
	give_token(req, f, &claims, mr_node_str(auth, "userId"), mr_node_str(auth, "name"));
	mr_buf_fini(&claims);
}

void mr_api_refresh(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_error err = {0};
	const struct mr_node *auth;

	if (allowed(f, &err) && mr_api_identity(req, f, &auth, &err) && is_guest(auth, &err))
		renew(req, f, auth);
	else
		mr_req_error(req, &err);
}
