#include "live.h"

#include <stdlib.h>

#include "api_inner.h"
#include "clock.h"
#include "proto/ground/log.h"
#include "rates.h"
#include "session.h"

struct mr_live {
	struct mr_session *session;
	struct mr_stream *stream;
	struct mr_buf k, h; /* key and hash, last told */
};

size_t mr_live_pending(const struct mr_live *live)
{
	return live->stream ? mr_stream_pending(live->stream) : 0;
}

void mr_live_close(struct mr_live *live)
{
	if (live->stream)
		mr_stream_close(live->stream);
}

static void free_live(struct mr_live *live)
{
	mr_buf_fini(&live->k);
	mr_buf_fini(&live->h);
	free(live);
}

static void set(struct mr_buf *b, struct mr_str s)
{
	if (!s.n)
		return;
	mr_buf_reset(b);
	mr_buf_str(b, s);
}

static const char *event_name(const struct mr_node *body)
{
	static const char *const names[][2] = {
		{"rows", "rows"}, {"value", "value"}, {"segs", "segs"}, {"error", "error"}, {"behind", "behind"}};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (mr_node_get(body, names[i][0]))
			return names[i][1];
	return "change";
}

static void print_id(struct mr_buf *out, const struct mr_live *live, struct mr_str position)
{
	mr_buf_z(out, "id: ");
	mr_buf_str(out, position);
	mr_buf_char(out, '~');
	mr_buf_str(out, mr_buf_view(&live->k));
	mr_buf_char(out, '~');
	mr_buf_str(out, mr_buf_view(&live->h));
	mr_buf_char(out, '\n');
}

static void print_events(struct mr_buf *out, struct mr_live *live, const struct mr_node *transition)
{
	const struct mr_node *acks = mr_node_get(transition, "q"), *bodies = mr_node_get(transition, "b");
	struct mr_str position = mr_node_str(transition, "p");
	for (size_t i = 0; acks && i < acks->n; i++)
		set(&live->k, mr_node_str(&acks->items[i], "k"));
	for (size_t i = 0; bodies && i < bodies->n; i++) {
		const struct mr_node *body = &bodies->items[i];
		set(&live->h, mr_node_str(body, "h"));
		mr_buf_printf(out, "event: %s\n", event_name(body));
		/* An id in the middle of a transition would resume in the middle of it. */
		if (i + 1 == bodies->n && position.n)
			print_id(out, live, position);
		mr_buf_z(out, "data: ");
		mr_buf_str(out, body->raw);
		mr_buf_z(out, "\n\n");
	}
}

void mr_live_message(struct mr_live *live, struct mr_str json)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *m = mr_json_read(&a, json, 4096, false, &err);
	struct mr_str t = mr_node_str(m, "t");
	struct mr_buf out = {0};
	bool over = false;
	if (mr_str_is(t, "transition")) {
		print_events(&out, live, m);
	} else if (mr_str_is(t, "status")) {
		mr_buf_z(&out, "event: status\ndata: ");
		mr_buf_str(&out, json);
		mr_buf_z(&out, "\n\n");
	} else if (mr_str_is(t, "error")) {
		mr_buf_z(&out, "event: error\ndata: ");
		mr_buf_str(&out, json);
		mr_buf_z(&out, "\n\n");
		over = true;
	}
	if (out.n && live->stream)
		mr_stream_send(live->stream, mr_buf_view(&out));
	if (over)
		mr_live_close(live);
	mr_buf_fini(&out);
	mr_arena_fini(&a);
}

static void on_drained(void *arg)
{
	mr_session_drained(((struct mr_live *)arg)->session);
}

static void on_closed(void *arg)
{
	struct mr_live *live = arg;
	live->stream = NULL;
	mr_session_closed(live->session, "event stream ended");
	free_live(live);
}

/* Last-Event-ID: position~key~hash. */
static bool read_last_event(struct mr_req *req, const struct mr_fanout *f, struct mr_position *from, struct mr_buf *message)
{
	struct mr_str id = mr_req_header(req, "last-event-id");
	const char *k = id.n ? memchr(id.p, '~', id.n) : NULL;
	const char *h = k ? memchr(k + 1, '~', (size_t)(id.p + id.n - k - 1)) : NULL;
	if (!h || !mr_position_read((struct mr_str){id.p, (size_t)(k - id.p)}, f->secret, from))
		return false;
	mr_buf_z(message, ",\"have\":{\"k\":");
	mr_json_quote(message, (struct mr_str){k + 1, (size_t)(h - k - 1)});
	mr_buf_z(message, ",\"h\":");
	mr_json_quote(message, (struct mr_str){h + 1, (size_t)(id.p + id.n - h - 1)});
	mr_buf_char(message, '}');
	return true;
}

static struct mr_str bearer(const struct mr_req *req)
{
	struct mr_str h = mr_req_header(req, "authorization");
	return h.n > 7 && strncasecmp(h.p, "Bearer ", 7) == 0 ? (struct mr_str){h.p + 7, h.n - 7} : (struct mr_str){0};
}

/* Appends what is asked for, as members of a subscribe message. */
static bool read_query(struct mr_req *req, const struct mr_fanout *f, struct mr_buf *out, struct mr_error *err)
{
	static const char *const fn_params[] = {"fn", "args", NULL}, *const list_params[] = {
									     "entity", "where", "include", "orderBy", "limit", NULL};
	struct mr_str entity = mr_req_param(req, "entity"), fn = mr_req_param(req, "fn"), args = mr_req_param(req, "args");
	if (!entity.n && !fn.n)
		return mr_fail(err, MR_BAD_MESSAGE, "/api/live needs entity=NAME or fn=MODULE.NAME");
	if (entity.n)
		return mr_api_params(req, list_params, err) && mr_api_list(req, f, entity, out, err);
	if (!mr_api_params(req, fn_params, err) ||
		(args.n && !mr_json_read(mr_req_arena(req), args, (int)f->settings.max_depth, false, err)))
		return false;
	mr_buf_z(out, "\"fn\":");
	mr_json_quote(out, fn);
	if (args.n) {
		mr_buf_z(out, ",\"args\":");
		mr_buf_str(out, args);
	}
	return true;
}

static const struct mr_node *read_message(
	struct mr_req *req, const struct mr_fanout *f, struct mr_position *from, bool *resumes, struct mr_error *err)
{
	struct mr_buf text = {0};
	mr_buf_z(&text, "{\"id\":1,");
	bool ok = read_query(req, f, &text, err);
	*resumes = read_last_event(req, f, from, &text);
	mr_buf_char(&text, '}');
	struct mr_arena *a = mr_req_arena(req);
	const struct mr_node *message =
		ok ? mr_json_read(a, mr_arena_str(a, mr_buf_view(&text)), (int)f->settings.max_depth + 1, false, err) : NULL;
	mr_buf_fini(&text);
	return message;
}

/* It counts as one call. */
static bool may_ask(struct mr_req *req, const struct mr_session *s, struct mr_error *err)
{
	struct mr_str user = mr_node_str(mr_session_auth(s, mr_req_arena(req)), "userId");
	return mr_rates_caller(s->all->f->rates, user, mr_req_address(req), err);
}

static bool begin(struct mr_req *req, struct mr_fanout *f, struct mr_live *live, struct mr_error *err)
{
	struct mr_position from = {0};
	bool resumes = false, ok = false;
	const struct mr_node *message = read_message(req, f, &from, &resumes, err);
	if (message && !mr_req_enter(req, err))
		message = NULL;
	live->session = message ? mr_session_live(f->sessions, live, bearer(req), resumes ? &from : NULL, err) : NULL;
	if (live->session) {
		struct mr_session *s = live->session;
		ok = may_ask(req, s, err) && mr_session_subscribe(s, message, err);
		if (!ok)
			mr_session_closed(s, "refused");
	}
	set(&live->k, mr_node_str(mr_node_get(message, "have"), "k"));
	set(&live->h, mr_node_str(mr_node_get(message, "have"), "h"));
	mr_position_fini(&from);
	return ok;
}

void mr_live_request(struct mr_req *req, struct mr_fanout *f)
{
	struct mr_live *live = mr_alloc(sizeof *live);
	struct mr_error err;
	if (!begin(req, f, live, &err)) {
		mr_req_error(req, &err);
		free_live(live);
		return;
	}
	struct mr_stream_handler handler = {.drained = on_drained, .closed = on_closed, .arg = live};
	live->stream = mr_req_stream(req, "text/event-stream", &handler);
	if (!mr_ticks_follow(f->hub->ticks))
		mr_live_message(live, MR_STR("{\"t\":\"status\",\"following\":false}"));
	mr_sessions_advance(f->sessions);
}
