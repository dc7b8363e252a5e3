/* Sessions of our own: a caller renews his, or ends it. Those of guests are in nobody's table, and renewed here; ended they are as all are.
 */
#include <inttypes.h>

#include "api_inner.h"
#include "calls.h"
#include "proto/value.h"

struct asked {
	struct mr_req *req;
	struct mr_call *call;
};

static void on_done(void *arg, struct mr_str value, struct mr_written written, const struct mr_error *err)
{
	struct asked *a = arg;
	struct mr_buf b = {0};

	a->call = NULL;
	if (err) {
		mr_req_error(a->req, err);
		return;
	}
	mr_buf_str(&b, value);
	mr_buf_char(&b, '\n');
	mr_api_reply(a->req, 200, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void on_gone(void *arg)
{
	struct asked *a = arg;

	if (a->call)
		mr_call_abandon(a->call);
}

/* The act on the session of the token; until: when its tokens are over, milliseconds since 1970; 0: it is not said. */
static void act(struct mr_req *req, struct mr_fanout *f, const char *fn, const struct mr_token *t, int64_t until)
{
	struct asked *a = mr_arena_alloc(mr_req_arena(req), sizeof(*a));
	struct mr_buf args = {0};
	struct mr_error err;

	mr_buf_z(&args, "{\"entity\":\"_sessions\",\"id\":\"");
	mr_uuid_append(&args, t->session);
	mr_buf_char(&args, '"');
	if (until)
		mr_buf_printf(&args, ",\"until\":%" PRId64, until);
	mr_buf_char(&args, '}');
	struct mr_call_request rq = {.kind = MR_CALL_ENTITY, .fn = mr_str(fn), .args = mr_buf_view(&args), .auth = t->identity};
	*a = (struct asked){.req = req};
	a->call = mr_call_start(f, &rq, on_done, a, &err);
	if (a->call)
		mr_req_on_gone(req, on_gone, a);
	else
		mr_req_error(req, &err);
	mr_buf_fini(&args);
}

static bool find(struct mr_req *req, struct mr_fanout *f, struct mr_token *t, struct mr_error *err)
{
	if (!mr_api_identity(req, f, t, err))
		return false;
	if (!t->identity)
		return mr_fail(err, MR_UNAUTHENTICATED, "Send the session's token, as `Authorization: Bearer <token>`.");
	if (!t->has_session && !mr_api_is_guest(t))
		return mr_fail(err, MR_FORBIDDEN, "This token is of no session of this server; ask whoever signed it.");
	return true;
}

void mr_api_refresh(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_error err = {0};
	struct mr_token t;

	if (!find(req, f, &t, &err) || (mr_api_is_guest(&t) && !mr_api_guests_allowed(f, &err)))
		mr_req_error(req, &err);
	else if (mr_api_is_guest(&t))
		mr_api_guest_renew(req, f, &t);
	else
		act(req, f, "renew", &t, 0);
}

void mr_api_sign_out(struct mr_req *req, struct mr_fanout *f, struct mr_str rest)
{
	struct mr_error err = {0};
	struct mr_token t;
	bool found = find(req, f, &t, &err);

	if (found && !t.has_session)
		found = mr_fail(&err, MR_FORBIDDEN, "This guest's token is of no session; it ends by itself.");
	/* Another token of a guest may have been signed a moment ago. */
	int64_t until = mr_api_is_guest(&t) ? mr_wall_us() / 1000 + f->settings.auth_guest_time : t.expires * 1000;
	if (found)
		act(req, f, "end", &t, until);
	else
		mr_req_error(req, &err);
}
