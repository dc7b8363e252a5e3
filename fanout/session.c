/* Sessions: their life. */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>

#include "bearers.h"
#include "clock.h"
#include "live.h"
#include "proto/ground/log.h"
#include "share.h"

enum { JANITOR_US = 100 * 1000 };

static void check_following(struct mr_sessions *all);

static void on_janitor(void *arg)
{
	struct mr_sessions *all = arg;
	int64_t now = mr_mono_us();
	mr_sessions_late_replies(all, now);
	mr_sessions_expire(all);
	MR_LIST_FOR (e, &all->lagging)
		mr_session_has_read(MR_CONTAINER(e, struct mr_session, in_lagging));
	mr_resumes_tidy(all);
	mr_sessions_early_check(all, now);
	check_following(all);
	mr_sessions_advance(all);
	mr_timer_start(all->janitor, JANITOR_US);
}

struct mr_sessions *mr_sessions_new(struct mr_fanout *f)
{
	struct mr_sessions *all = mr_alloc(sizeof *all);
	all->f = f;
	all->share = mr_share_new();
	mr_list_init(&all->lagging);
	mr_list_init(&all->replies);
	mr_list_init(&all->anonymous);
	mr_list_init(&all->resumes);
	mr_sessions_early_init(all);
	mr_queues_init(all);
	all->following = true;
	all->janitor = mr_timer_new(f->loop, on_janitor, all);
	mr_timer_start(all->janitor, JANITOR_US);
	return all;
}

void mr_sessions_delete(struct mr_sessions **all)
{
	if (!*all)
		return;
	/* Calls outlive their sockets, and some were still with a worker. */
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&(*all)->by_id, &i, &key, &value);)
		mr_session_lose_calls(value);
	MR_ASSERT((*all)->by_id.n == 0);
	mr_resumes_delete(*all);
	mr_queues_fini(*all);
	mr_timer_delete(&(*all)->janitor);
	mr_map_fini(&(*all)->by_id);
	mr_bearers_fini(*all);
	mr_looks_fini(*all);
	mr_dues_fini(&(*all)->expiries);
	mr_share_delete(&(*all)->share);
	free((*all)->build_error);
	free(*all);
	*all = NULL;
}

static struct mr_session *new_session(struct mr_sessions *all, enum mr_encoding encoding)
{
	struct mr_session *s = mr_alloc(sizeof *s);
	s->all = all;
	s->encoding = encoding;
	mr_list_init(&s->shown);
	mr_list_init(&s->news);
	mr_list_init(&s->waiting);
	mr_list_init(&s->calls);
	mr_list_init(&s->replies);
	mr_list_init(&s->in_all);
	mr_list_init(&s->in_lagging);
	return s;
}

static void count(struct mr_session *s, bool in)
{
	if (s->counted == in)
		return;
	s->counted = in;
	s->all->f->instances->speaks[s->encoding] += in ? 1 : (uint64_t)-1;
	s->all->f->counter[MR_C_SESSIONS] += in ? 1 : -1;
}

void mr_session_set_stalled(struct mr_session *s, bool stalled)
{
	if (s->stalled == stalled)
		return;
	s->stalled = stalled;
	s->all->f->counter[MR_C_BEHIND_TOTAL] += stalled;
	s->all->f->counter[MR_C_SESSIONS_BEHIND] += stalled ? 1 : -1;
}

void *mr_session_open(struct mr_ws *ws, enum mr_encoding encoding, void *fanout)
{
	struct mr_fanout *f = fanout;
	struct mr_session *s = new_session(f->sessions, encoding);
	s->ws = ws;
	mr_list_add_tail(&f->sessions->anonymous, &s->in_all);
	return s;
}

static void drop_subs(struct mr_session *s)
{
	MR_LIST_FOR (e, &s->shown)
		mr_sub_free(mr_sub_of(e));
	MR_LIST_FOR (e, &s->waiting)
		mr_sub_free(mr_sub_of(e));
	while (mr_queue_subs(s))
		mr_sub_free(mr_sub_of(mr_queue_subs(s)->next));
}

static void forget_screen(struct mr_session *s)
{
	drop_subs(s);
	MR_LIST_FOR (e, &s->replies)
		mr_session_free_reply(MR_CONTAINER(e, struct mr_pending_reply, in_session));
	mr_session_unlook(s);
	mr_session_drop_early(s);
	mr_list_del(&s->in_all);
	mr_session_lag(s, false);
	mr_session_set_stalled(s, false);
	count(s, false);
}

void mr_session_maybe_free(struct mr_session *s)
{
	if (s->ws || s->live || !mr_list_empty(&s->calls))
		return;
	forget_screen(s);
	if (s->id.n && mr_map_get(&s->all->by_id, s->id) == s)
		mr_map_del(&s->all->by_id, s->id);
	mr_session_drop_identity(s);
	MR_ASSERT(!s->subs_by_id);
	if (s->resume_from)
		mr_position_fini(s->resume_from);
	free(s->resume_from);
	free((char *)s->id.p);
	free(s);
}

void mr_session_closed(void *session, const char *reason)
{
	struct mr_session *s = session;
	struct mr_str whose = mr_session_whose(s);
	mr_log(MR_DEBUG, "session of %.*s closed: %s", (int)whose.n, whose.p ? whose.p : "", reason);
	s->ws = NULL;
	s->live = NULL;
	forget_screen(s);
	mr_session_drop_calls(s);
	mr_session_maybe_free(s);
}

void mr_session_close(struct mr_session *s, int code, const char *reason)
{
	if (s->ws)
		mr_ws_close(s->ws, code, reason);
	else if (s->live)
		mr_live_close(s->live);
}

void mr_session_drained(void *session)
{
	struct mr_session *s = session;
	if (!mr_list_linked(&s->in_lagging))
		return;
	mr_session_has_read(s);
	mr_sessions_advance(s->all);
}

void mr_session_send(struct mr_session *s, struct mr_str payload)
{
	if (s->live) {
		mr_live_message(s->live, payload);
		return;
	}
	if (!s->ws)
		return;
	struct mr_deflate *d = mr_ws_deflate(s->ws);
	struct mr_frame *frame = d ? mr_deflate_frame(d, s->encoding, payload) : mr_frame_new(s->encoding, payload);
	mr_ws_send(s->ws, frame);
	mr_frame_drop(&frame);
}

void mr_session_error(struct mr_session *s, const struct mr_error *err, int64_t re, bool fatal)
{
	struct mr_buf b = {0};
	struct mr_enc e;
	s->all->f->counter[MR_C_BAD_MESSAGES_TOTAL]++;
	mr_enc_init(&e, &b, s->encoding);
	mr_enc_map(&e, 2 + (re > 0) + fatal);
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, MR_STR("error"));
	mr_enc_key(&e, MR_STR("error"));
	mr_enc_error(&e, err);
	if (re > 0) {
		mr_enc_key(&e, MR_STR("re"));
		mr_enc_int(&e, re);
	}
	if (fatal) {
		mr_enc_key(&e, MR_STR("fatal"));
		mr_enc_bool(&e, true);
	}
	mr_enc_end(&e);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&b);
}

void mr_session_welcome(struct mr_session *s)
{
	const struct mr_fanout *f = s->all->f;
	struct mr_arena a = {0};
	struct mr_str user = mr_node_str(mr_session_auth(s, &a), "userId");
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, s->encoding);
	mr_enc_map(&e, 9);
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, MR_STR("welcome"));
	mr_enc_key(&e, MR_STR("protocol"));
	mr_enc_int(&e, MR_PROTOCOL);
	mr_enc_key(&e, MR_STR("user"));
	if (user.p)
		mr_enc_str(&e, user);
	else
		mr_enc_null(&e);
	mr_enc_key(&e, MR_STR("hour"));
	mr_enc_int(&e, mr_fanout_hour(f));
	mr_enc_key(&e, MR_STR("mode"));
	mr_enc_str(&e, mr_str(f->settings.mode));
	mr_enc_key(&e, MR_STR("app"));
	mr_enc_str(&e, f->app ? f->app->version : MR_STR(""));
	mr_enc_key(&e, MR_STR("ping_interval"));
	mr_enc_int(&e, f->settings.ping_interval);
	mr_enc_key(&e, MR_STR("max_frame"));
	mr_enc_int(&e, f->settings.max_frame);
	mr_enc_key(&e, MR_STR("max_depth"));
	mr_enc_int(&e, f->settings.max_depth);
	mr_enc_end(&e);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&b);
	mr_arena_fini(&a);
}

static bool id_ok(struct mr_str id)
{
	if (id.n < 32 || id.n > 64)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

static bool is_foreign(struct mr_error *err)
{
	return mr_fail(err, MR_FORBIDDEN, "This session belongs to another identity; choose a new session id.");
}

void mr_session_refuse(struct mr_session *s)
{
	struct mr_error err;
	is_foreign(&err);
	mr_session_error(s, &err, 0, true);
	mr_session_close(s, 4000, mr_code_name(err.code));
}

/* The session of this id from a former socket: its running calls become ours, if the identity is the same. */
static bool take_over(struct mr_session *s, struct mr_str id, struct mr_error *err)
{
	struct mr_session *old = mr_map_get(&s->all->by_id, id);
	if (!old)
		return true;
	if (!mr_str_eq(mr_session_whose(old), mr_session_whose(s)))
		return is_foreign(err);
	MR_LIST_FOR (e, &old->calls)
		mr_session_move_call(MR_CONTAINER(e, struct mr_session_call, in_session), s);
	mr_map_del(&s->all->by_id, id);
	mr_session_close(old, 4001, "replaced");
	mr_session_maybe_free(old);
	return true;
}

static void begin(struct mr_session *s, struct mr_str id)
{
	s->id = (struct mr_str){mr_strndup(id.p, id.n), id.n};
	mr_list_del(&s->in_all);
	mr_map_put(&s->all->by_id, s->id, s);
	s->at = s->all->f->clock->n;
	count(s, true);
	mr_session_arrives(s);
}

static void send_build_error(struct mr_session *s);

static void send_status(struct mr_session *s)
{
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, s->encoding);
	mr_enc_map(&e, 2);
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, MR_STR("status"));
	mr_enc_key(&e, MR_STR("following"));
	mr_enc_bool(&e, s->all->following);
	mr_enc_end(&e);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&b);
}

/* A screen that stands still since Postgres does not answer looks like one on which nothing happens: so it is said. */
static void check_following(struct mr_sessions *all)
{
	bool following = mr_ticks_follow(all->f->hub->ticks);
	if (following == all->following)
		return;
	all->following = following;
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->by_id, &i, &key, &value);)
		send_status(value);
}

static void keep_position(struct mr_session *s, const struct mr_position *from)
{
	s->resume_from = mr_alloc(sizeof *s->resume_from);
	mr_position_copy(s->resume_from, from);
}

static bool hello(struct mr_session *s, const struct mr_node *m, struct mr_error *err)
{
	int64_t protocol;
	struct mr_str id = mr_node_str(m, "session"), position = mr_node_str(m, "position");
	if (s->id.n)
		return mr_fail(err, MR_BAD_MESSAGE, "hello is sent once, as the first message.");
	if (!mr_node_int(mr_node_get(m, "protocol"), &protocol) || protocol != MR_PROTOCOL)
		return mr_fail(err, MR_PROTOCOL_MISMATCH, "This server speaks protocol %d; update the client.", MR_PROTOCOL);
	if (!id_ok(id))
		return mr_fail(err, MR_BAD_MESSAGE, "session must be 32 to 64 random characters of A-Z a-z 0-9 _ -.");
	if (!mr_session_take_identity(s, mr_node_str(m, "token"), err) || !take_over(s, id, err))
		return false;
	s->positions = mr_node_truth(m, "positions");
	/* A position that we cannot read is no reason to refuse: everything is sent whole. */
	struct mr_position from = {0};
	if (position.n && mr_position_read(position, s->all->f->secret, &from))
		keep_position(s, &from);
	mr_position_fini(&from);
	begin(s, id);
	mr_session_welcome(s);
	if (!s->all->following)
		send_status(s);
	send_build_error(s);
	return true;
}

struct mr_session *mr_session_live(
	struct mr_sessions *all, struct mr_live *live, struct mr_str token, const struct mr_position *from, struct mr_error *err)
{
	struct mr_session *s = new_session(all, MR_JSON);
	if (!mr_session_take_identity(s, token, err)) {
		free(s);
		return NULL;
	}
	uint8_t raw[24];
	struct mr_buf id = {0};
	mr_random(raw, sizeof raw);
	mr_base64url(&id, (struct mr_str){(const char *)raw, sizeof raw});
	s->live = live;
	s->positions = true;
	if (from)
		keep_position(s, from);
	begin(s, mr_buf_view(&id));
	mr_buf_fini(&id);
	return s;
}

/* The session's text for a message without fields. */
static void send_bare(struct mr_session *s, struct mr_str t)
{
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, s->encoding);
	mr_enc_map(&e, 1);
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, t);
	mr_enc_end(&e);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void handle(struct mr_session *s, const struct mr_node *m)
{
	struct mr_str t = mr_node_str(m, "t");
	struct mr_error err;
	int64_t id = 0;
	if (mr_str_is(t, "hello")) {
		if (hello(s, m, &err))
			return;
		mr_session_error(s, &err, 0, true);
		mr_session_close(s, 4000, mr_code_name(err.code));
	} else if (!s->id.n) {
		mr_fail(&err, MR_BAD_MESSAGE, "The first message must be hello.");
		mr_session_error(s, &err, 0, true);
		mr_session_close(s, 4000, mr_code_name(err.code));
	} else if (mr_str_is(t, "subscribe")) {
		if (mr_session_subscribe(s, m, &err))
			return;
		mr_node_int(mr_node_get(m, "id"), &id);
		mr_session_error(s, &err, id, false);
	} else if (mr_str_is(t, "unsubscribe")) {
		mr_session_unsubscribe(s, m);
	} else if (mr_str_is(t, "call")) {
		mr_session_call(s, m);
	} else if (mr_str_is(t, "auth")) {
		mr_session_change_identity(s, m);
	} else {
		mr_fail(&err, MR_UNKNOWN_MESSAGE, "No message \"%.*s\" is known.", (int)MR_MIN(t.n, 40), t.p ? t.p : "");
		mr_session_error(s, &err, 0, false);
	}
}

void mr_session_handle(struct mr_session *s, struct mr_str payload)
{
	struct mr_arena a = {0};
	struct mr_error err;
	int depth = (int)s->all->f->settings.max_depth;
	const struct mr_node *m =
		s->encoding == MR_JSON ? mr_json_read(&a, payload, depth, false, &err) : mr_msgpack_read(&a, payload, depth, false, &err);
	if (!m)
		mr_session_error(s, &err, 0, false);
	else if (s->id.n && mr_str_is(mr_node_str(m, "t"), "ping"))
		send_bare(s, MR_STR("pong"));
	else if (!mr_session_keep_early(s, payload))
		handle(s, m);
	mr_arena_fini(&a);
}

void mr_session_message(void *session, struct mr_str payload)
{
	struct mr_session *s = session;
	struct mr_sessions *all = s->all;
	mr_session_handle(s, payload);
	all->unsettled = true;
}

void mr_sessions_console(struct mr_sessions *all, struct mr_str session, const struct mr_node *line)
{
	struct mr_session *s = mr_map_get(&all->by_id, session);
	if (!s)
		return;
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, s->encoding);
	mr_enc_map(&e, 4);
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, MR_STR("console"));
	static const char *const keys[] = {"fn", "level", "text"};
	for (size_t i = 0; i < MR_COUNT(keys); i++) {
		mr_enc_key(&e, mr_str(keys[i]));
		mr_enc_str(&e, mr_node_str(line, keys[i]));
	}
	mr_enc_end(&e);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void send_dev(struct mr_session *s, const struct mr_node *error, bool reload, const struct mr_node *types)
{
	struct mr_buf b = {0};
	struct mr_enc e;
	mr_enc_init(&e, &b, s->encoding);
	mr_enc_map(&e, 1 + (error != NULL) + reload + (types != NULL));
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, MR_STR("dev"));
	if (error) {
		mr_enc_key(&e, MR_STR("error"));
		mr_enc_node(&e, error);
	}
	if (reload) {
		mr_enc_key(&e, MR_STR("reload"));
		mr_enc_bool(&e, true);
	}
	if (types) {
		mr_enc_key(&e, MR_STR("types"));
		mr_enc_node(&e, types);
	}
	mr_enc_end(&e);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void send_build_error(struct mr_session *s)
{
	struct mr_node error = {.kind = MR_STRING, .text = mr_str(s->all->build_error)};
	if (s->all->build_error)
		send_dev(s, &error, false, NULL);
}

void mr_sessions_dev(struct mr_sessions *all, const struct mr_node *dev)
{
	const struct mr_node *error = mr_node_get(dev, "error");
	struct mr_str text = mr_node_str(dev, "error");
	bool reload = mr_node_truth(dev, "reload");
	if (error) {
		free(all->build_error);
		all->build_error = text.n ? mr_strndup(text.p, text.n) : NULL;
	}
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&all->by_id, &i, &key, &value);)
		send_dev(value, error, reload, mr_node_get(dev, "types"));
	if (all->build_error)
		mr_sessions_do_early(all);
}
