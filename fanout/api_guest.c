/* Guests: callers that this server names itself. */
#include <inttypes.h>

#include "api_inner.h"
#include "proto/ground/hash.h"
#include "proto/value.h"
#include "rates.h"

enum { GUEST_NAME_MAX = 64 };

/* Version 7: milliseconds, then chance. */
static void make_uuid(uint8_t b[16])
{
	uint64_t ms = (uint64_t)mr_wall_us() / 1000;

	mr_random(b, 16);
	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
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

bool mr_api_guests_allowed(const struct mr_fanout *f, struct mr_error *err)
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
	int64_t now_ms = mr_wall_us() / 1000, now = now_ms / 1000, seconds = (f->settings.auth_guest_time + 999) / 1000;

	mr_buf_printf(claims, ",\"iat\":%" PRId64 ".%03" PRId64 ",\"exp\":%" PRId64 "}", now, now_ms % 1000, now + seconds);
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

/* Who it is, and of which session: one of its own, so that it can be called back. */
static void begin_claims(struct mr_buf *claims, struct mr_str user, const uint8_t *session)
{
	uint8_t fresh[16];

	make_uuid(fresh);
	mr_buf_z(claims, "{\"sub\":");
	mr_json_quote(claims, user);
	mr_buf_z(claims, ",\"sid\":\"");
	mr_uuid_append(claims, session ? session : fresh);
	mr_buf_char(claims, '"');
}

static void sign_in(struct mr_req *req, const struct mr_fanout *f, struct mr_str name)
{
	struct mr_buf claims = {0}, user = {0};
	uint8_t id[16];

	make_uuid(id);
	mr_buf_z(&user, MR_GUESTS);
	mr_uuid_append(&user, id);
	begin_claims(&claims, mr_buf_view(&user), NULL);
	mr_buf_z(&claims, ",\"name\":");
	mr_json_quote(&claims, name);
	give_token(req, f, &claims, mr_buf_view(&user), name);
	mr_buf_fini(&claims);
	mr_buf_fini(&user);
}

void mr_api_guest(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_error err = {0};
	struct mr_str text, name;
	bool may = mr_api_guests_allowed(f, &err) && mr_rates_caller(f->rates, MR_STR(""), mr_req_address(req), &err);
	const struct mr_node *body = may ? mr_api_body(req, f, &text, &err) : NULL;

	if (body && guest_name(body, &name, &err))
		sign_in(req, f, name);
	else
		mr_req_error(req, &err);
}

bool mr_api_is_guest(const struct mr_token *t)
{
	struct mr_str user = mr_node_str(t->identity, "userId");

	return t->issuer < 0 && user.n >= sizeof(MR_GUESTS) && memcmp(user.p, MR_GUESTS, sizeof(MR_GUESTS) - 1) == 0;
}

void mr_api_guest_renew(struct mr_req *req, const struct mr_fanout *f, const struct mr_token *t)
{
	const struct mr_node *auth = t->identity;
	struct mr_buf claims = {0};
	struct mr_enc e;

	begin_claims(&claims, mr_node_str(auth, "userId"), t->has_session ? t->session : NULL);
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
