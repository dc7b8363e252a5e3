/* The HTTP API on a real listener, with calls that answer what they were asked (tests/flow/api.mjs). What stands behind calls.h, keys.h and
 * live.h in the fanout - workers, issuers, ticks - is replaced here by functions that tell their arguments. api_server <manifest> <app_dir>
 * [development|production] [auth_guests]      prints "port N" and "token T"; ends with standard input
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fanout/api.h"
#include "fanout/app_http.h"
#include "fanout/calls.h"
#include "fanout/hub.h"
#include "fanout/keys.h"
#include "fanout/live.h"
#include "fanout/revoked.h"
#include "proto/ground/log.h"

struct mr_call {
	struct mr_loop *loop;
	mr_call_done *done;
	void *arg;
	struct mr_buf value;
	struct mr_error err;
	bool abandoned;
};
static long abandoned;

static void end_call(void *arg)
{
	struct mr_call *c = arg;

	if (!c->abandoned)
		c->done(c->arg, mr_buf_view(&c->value), (struct mr_written){0}, c->err.code ? &c->err : NULL);
	mr_buf_fini(&c->value);
	free(c);
}

static void member(struct mr_buf *b, const char *name, struct mr_str text)
{
	mr_buf_printf(b, ",\"%s\":", name);
	mr_json_quote(b, text);
}

/* Fails with the code named in args.fail, answers null for the id "missing", else tells the request. */
static void decide(struct mr_call *c, const struct mr_call_request *rq)
{
	struct mr_arena a = {0};
	const struct mr_node *args = mr_json_read(&a, rq->args, 64, false, &c->err);
	struct mr_str fail = mr_node_str(args, "fail");

	MR_ASSERT(args && args->kind == MR_MAP);
	if (fail.p) {
		mr_fail_data(&c->err, mr_code_by_name(fail.p, fail.n), "{\"code\":\"mine\"}", "as you wish");
	} else if (mr_str_is(mr_node_str(args, "id"), "missing")) {
		mr_buf_z(&c->value, "null");
	} else {
		struct mr_enc e;
		mr_buf_printf(
			&c->value, "{\"kind\":%d,\"hour\":%d,\"lasting\":%s", (int)rq->kind, (int)rq->hour, rq->lasting ? "true" : "false");
		member(&c->value, "fn", rq->fn);
		member(&c->value, "session", rq->session);
		member(&c->value, "call", rq->call);
		mr_buf_printf(&c->value, ",\"args\":%.*s,\"auth\":", (int)rq->args.n, rq->args.p);
		mr_enc_init(&e, &c->value, MR_JSON);
		if (rq->auth)
			mr_enc_node(&e, rq->auth);
		else
			mr_enc_null(&e);
		mr_buf_char(&c->value, '}');
	}
	mr_arena_fini(&a);
}

struct mr_call *mr_call_start(struct mr_fanout *f, const struct mr_call_request *rq, mr_call_done *done, void *arg, struct mr_error *err)
{
	if (mr_str_is(rq->fn, "test.busy")) {
		mr_fail(err, MR_TOO_MANY_CALLS, "no worker has room");
		return NULL;
	}
	struct mr_call *c = mr_alloc(sizeof(*c));
	*c = (struct mr_call){.loop = f->loop, .done = done, .arg = arg};
	decide(c, rq);
	if (!mr_str_is(rq->fn, "test.never"))
		mr_defer(f->loop, end_call, c);
	return c;
}

void mr_call_abandon(struct mr_call *c)
{
	c->abandoned = true;
	abandoned++;
	mr_defer(c->loop, end_call, c);
}

bool mr_keys_verify(struct mr_fanout *f, struct mr_arena *a, struct mr_str token, struct mr_token *t, struct mr_error *err)
{
	struct mr_trust trust = {.secret = f->secret, .leeway = 10};
	return mr_jwt_verify(a, &trust, token, mr_wall_us() / 1000000, t, err);
}

bool mr_revoked_check_token(const struct mr_revoked *r, const struct mr_token *t, struct mr_error *err)
{
	return true;
}

void mr_live_request(struct mr_req *req, struct mr_fanout *f)
{
	mr_req_reply(req, 200, "text/plain", MR_STR("live\n"));
}

bool mr_app_http(struct mr_req *req, struct mr_fanout *f)
{
	return false; /* tests/flow/stack_http_routes.mjs */
}

bool mr_fanout_ready(const struct mr_fanout *f, const char **why)
{
	*why = "no \"workers\" yet";
	return f->counter[MR_C_WORKERS] > 0;
}

/* Adds two routes of its own, for the test. */
static void request(struct mr_req *req, void *arg)
{
	struct mr_fanout *f = arg;
	struct mr_buf b = {0};

	if (mr_str_is(mr_req_path(req), "/test/become-ready"))
		f->counter[MR_C_WORKERS] = 1;
	if (memcmp(mr_req_path(req).p, "/test/", MR_MIN(mr_req_path(req).n, (size_t)6)) == 0 && mr_req_path(req).n > 6) {
		mr_buf_printf(&b, "%ld", abandoned);
		mr_req_reply(req, 200, "text/plain", mr_buf_view(&b));
		mr_buf_fini(&b);
		return;
	}
	mr_api_request(req, arg);
}

static void on_stdin(void *arg, int events)
{
	struct mr_fanout *f = arg;
	char bytes[100];
	if (read(0, bytes, sizeof(bytes)) <= 0)
		mr_net_stop(f->net);
}

static struct mr_app *read_app(const char *path)
{
	static char text[65536];
	struct mr_error err = {0};
	FILE *in = fopen(path, "r");

	if (!in)
		mr_die("cannot read %s", path);
	size_t n = fread(text, 1, sizeof(text), in);
	fclose(in);
	struct mr_app *app = mr_app_read((struct mr_str){text, n}, &err);
	if (!app)
		mr_die("%s", err.message);
	return app;
}

int main(int argc, char **argv)
{
	struct mr_hub hub = {.n = 1};
	struct mr_fanout f = {.hub = &hub,
		.settings = {.max_frame = 1 << 20,
			.mode = argc > 3 ? argv[3] : "development",
			.max_depth = 64,
			.instance_max_rows = 50000,
			.auth_guests = argc > 4 ? argv[4] : "development",
			.auth_guest_time = 3600000},
		.secret = MR_STR("a secret of thirty-two bytes or more"),
		.loop = mr_loop_new(),
		.app = strcmp(argv[1], "-") ? read_app(argv[1]) : NULL,
		.app_dir = argv[2]};
	struct mr_net_config config = {.listen = "127.0.0.1",
		.max_frame = 10000,
		.ping_interval_ms = 25000,
		.max_connections = 100,
		.request = request,
		.arg = &f};
	struct mr_error err = {0};
	struct mr_buf token = {0};

	mr_log_init("api_server", MR_DEBUG);
	hub.threads = (struct mr_fanout *[]){&f};
	f.net = mr_net_new(f.loop, &config, &err);
	if (!f.net)
		mr_die("%s", err.message);
	mr_jwt_sign(&token, f.secret, MR_STR("{\"sub\":\"ada\",\"role\":\"admin\"}"));
	printf("token %s\nport %d\n", token.p, mr_net_port(f.net));
	fflush(stdout);
	mr_buf_fini(&token);
	struct mr_watch *w = mr_watch_new(f.loop, 0, MR_READ, on_stdin, &f);
	mr_net_run(f.net);
	mr_watch_delete(&w);
	mr_net_delete(&f.net);
	mr_app_drop(&f.app);
	mr_loop_turn(f.loop, 0);
	mr_loop_delete(&f.loop);
	return 0;
}
