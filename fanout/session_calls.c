/* Calls of sessions: mutations one after the other in the order sent, queries and actions at once, and replies in the transition that shows
 * the effect. */
#include <stdlib.h>

#include "batch.h"
#include "clock.h"
#include "errors.h"
#include "proto/ground/log.h"
#include "rates.h"
#include "session.h"

void mr_session_free_reply(struct mr_pending_reply *r)
{
	mr_list_del(&r->in_session);
	mr_list_del(&r->in_all);
	free(r);
}

static void leave(struct mr_session_call *c)
{
	mr_list_del(&c->in_session);
	c->session->n_calls--;
	c->session->n_reading -= c->reads_now;
}

static void join(struct mr_session_call *c, struct mr_session *s)
{
	mr_list_add_tail(&s->calls, &c->in_session);
	c->session = s;
	s->n_calls++;
	s->n_reading += c->reads_now;
}

/* The client has come on another socket. */
void mr_session_move_call(struct mr_session_call *c, struct mr_session *to)
{
	leave(c);
	join(c, to);
	c->answered = false;
}

static void free_call(struct mr_session_call *c)
{
	leave(c);
	free((char *)c->effect.p);
	free(c);
}

static void send_reply(struct mr_session *s, struct mr_str id, struct mr_str value, const struct mr_error *error, bool ahead)
{
	struct mr_buf b = {0};
	struct mr_enc e;
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *node = error ? NULL : mr_json_read(&a, value, 4096, false, &err);
	mr_enc_init(&e, &b, s->encoding);
	mr_enc_map(&e, 3 + ahead);
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, MR_STR("reply"));
	mr_enc_key(&e, MR_STR("id"));
	mr_enc_str(&e, id);
	mr_enc_key(&e, error ? MR_STR("error") : MR_STR("value"));
	if (error)
		mr_enc_error(&e, error);
	else if (node)
		mr_enc_node(&e, node);
	else
		mr_enc_null(&e);
	if (ahead) {
		mr_enc_key(&e, MR_STR("ahead"));
		mr_enc_bool(&e, true);
	}
	mr_enc_end(&e);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&b);
	mr_arena_fini(&a);
}

static void add_reply(struct mr_session *s, struct mr_str id, struct mr_str value, struct mr_written written, uint64_t n)
{
	struct mr_pending_reply *r = mr_alloc(sizeof *r + id.n + value.n);
	char *text = (char *)(r + 1);
	memcpy(text, id.p, id.n);
	memcpy(text + id.n, value.p, value.n);
	r->id = (struct mr_str){text, id.n};
	r->value = (struct mr_str){text + id.n, value.n};
	r->written = written;
	r->n = n;
	r->late_us = mr_mono_us() + s->all->f->settings.reply_wait * 1000;
	r->session = s;
	mr_list_add_tail(&s->replies, &r->in_session);
	mr_list_add_tail(&s->all->replies, &r->in_all);
	mr_session_look(s);
}

void mr_sessions_late_replies(struct mr_sessions *all, int64_t now)
{
	MR_LIST_FOR (e, &all->replies) {
		struct mr_pending_reply *r = MR_CONTAINER(e, struct mr_pending_reply, in_all);
		if (now < r->late_us)
			break;
		send_reply(r->session, r->id, r->value, NULL, true);
		mr_session_free_reply(r);
	}
}

static void end_call(struct mr_session_call *c, struct mr_str value, struct mr_written written, const struct mr_error *err)
{
	struct mr_session *s = c->session;
	bool connected = s->ws || s->live;
	if (err)
		s->all->f->counter[MR_C_CALLS_FAILED_TOTAL]++;
	if (connected && c->asked && !c->answered) {
		if (c->effect.p)
			add_reply(s, c->id, c->effect, c->effect_written, 0);
		else if (err || !written.xid)
			send_reply(s, c->id, value, err, false);
		else
			add_reply(s, c->id, value, written, 0);
	}
	free_call(c);
	mr_session_next_call(s);
	mr_session_maybe_free(s);
}

static void on_done(void *arg, struct mr_str value, struct mr_written written, const struct mr_error *err)
{
	struct mr_session_call *c = arg;
	struct mr_sessions *all = c->session->all;
	c->running = NULL;
	end_call(c, value, written, err);
	mr_sessions_advance(all);
}

static void start(struct mr_session_call *c)
{
	struct mr_session *s = c->session;
	const struct mr_fn *fn = mr_app_fn(s->all->f->app, c->fn);
	struct mr_error err;
	struct mr_arena a = {0};
	struct mr_call_request rq = {
		.kind = fn ? mr_call_kind_of(fn) : MR_CALL_MUTATION,
		.fn = c->fn,
		.args = c->args,
		.auth = mr_session_auth(s, &a),
		.auth_session = mr_session_auth_session(s),
		.session = s->id,
		.call = c->id,
		.hour = (int32_t)strtol(c->id.p, NULL, 10),
	};
	c->running = mr_call_start(s->all->f, &rq, on_done, c, &err);
	mr_arena_fini(&a);
	if (!c->running) {
		end_call(c, (struct mr_str){0}, (struct mr_written){0}, &err);
		return;
	}
	c->reads_now = !c->writes;
	s->n_reading += c->reads_now;
}

static bool has_room(const struct mr_session *s)
{
	return (int64_t)s->n_reading < s->all->f->settings.concurrent_calls;
}

/* One that is no mutation, and waits for room among the client's others. */
static struct mr_session_call *next_reading(const struct mr_session *s)
{
	MR_LIST_FOR (e, &s->calls) {
		struct mr_session_call *c = MR_CONTAINER(e, struct mr_session_call, in_session);
		if (!c->writes && !c->running)
			return c;
	}
	return NULL;
}

static void next_write(struct mr_session *s)
{
	MR_LIST_FOR (e, &s->calls) {
		struct mr_session_call *c = MR_CONTAINER(e, struct mr_session_call, in_session);
		if (!c->writes)
			continue;
		if (!c->running)
			start(c);
		return;
	}
}

/* Nothing waits where no socket is open: it was dropped, to be sent again. */
void mr_session_next_call(struct mr_session *s)
{
	struct mr_session_call *c;
	if (s->n_calls > s->n_reading && s->ws && has_room(s) && (c = next_reading(s)))
		start(c);
	next_write(s);
}

/* The socket is gone: what has not begun is the client's to send again; what runs goes on and is found in the log. */
void mr_session_drop_calls(struct mr_session *s)
{
	MR_LIST_FOR (e, &s->calls) {
		struct mr_session_call *c = MR_CONTAINER(e, struct mr_session_call, in_session);
		/* A reply that was on its way may be lost with the socket; who asks again is told again. */
		c->asked = c->answered = false;
		if (c->running && c->cancels) {
			mr_call_abandon(c->running);
			c->running = NULL;
		}
		if (!c->running)
			free_call(c);
	}
}

void mr_session_lose_calls(struct mr_session *s)
{
	MR_LIST_FOR (e, &s->calls) {
		struct mr_session_call *c = MR_CONTAINER(e, struct mr_session_call, in_session);
		mr_call_lost(c->running);
		free_call(c);
	}
	mr_session_maybe_free(s);
}

static bool has_reply(const struct mr_session *s, struct mr_str id)
{
	MR_LIST_FOR (e, &s->replies)
		if (mr_str_eq(MR_CONTAINER(e, struct mr_pending_reply, in_session)->id, id))
			return true;
	return false;
}

static bool id_ok(struct mr_str id)
{
	size_t i = 0, dot;
	while (i < id.n && id.p[i] >= '0' && id.p[i] <= '9')
		i++;
	dot = i;
	if (dot == 0 || dot > 7 || dot == id.n || id.p[dot] != '.')
		return false;
	for (i++; i < id.n; i++)
		if (id.p[i] < '0' || id.p[i] > '9')
			return false;
	return id.n - dot > 1 && id.n <= 28;
}

static struct mr_session_call *find_call(const struct mr_session *s, struct mr_str id)
{
	MR_LIST_FOR (e, &s->calls) {
		struct mr_session_call *c = MR_CONTAINER(e, struct mr_session_call, in_session);
		if (mr_str_eq(c->id, id))
			return c;
	}
	return NULL;
}

static struct mr_session_call *new_call(struct mr_session *s, struct mr_str id, struct mr_str fn, struct mr_str args)
{
	struct mr_session_call *c = mr_alloc(sizeof *c + id.n + fn.n + args.n + 3);
	char *text = (char *)(c + 1);
	struct mr_str *parts[] = {&c->id, &c->fn, &c->args};
	struct mr_str from[] = {id, fn, args};
	for (size_t i = 0; i < MR_COUNT(parts); i++) {
		memcpy(text, from[i].p, from[i].n);
		*parts[i] = (struct mr_str){text, from[i].n};
		text += from[i].n + 1;
	}
	c->asked = true;
	join(c, s);
	return c;
}

static bool check_call(const struct mr_session *s, const struct mr_node *m, struct mr_str id, struct mr_error *err)
{
	const struct mr_node *args = mr_node_get(m, "args");
	int64_t max = s->all->f->settings.max_queued_calls;
	if (!id_ok(id))
		return mr_fail(err, MR_BAD_CALL_ID, "A call id is <hour>.<number>, with the hour in hours since 1970.");
	if (!mr_node_str(m, "fn").n)
		return mr_fail(err, MR_BAD_MESSAGE, "call needs fn, a function's name.");
	if (args && args->kind != MR_MAP && args->kind != MR_NULL)
		return mr_fail(err, MR_BAD_ARGS, "args must be a map.");
	if (args && !mr_node_strict(args))
		return mr_fail(err, MR_BAD_ARGS, "Keys that begin with $ belong to the protocol; rename them in args.");
	if ((int64_t)s->n_calls >= max)
		return mr_fail_data(err, MR_TOO_MANY_CALLS, "{\"setting\":\"max_queued_calls\"}",
			"A client may have %lld calls under way (max_queued_calls).", (long long)max);
	if (!s->all->f->app)
		return mr_fail(err, MR_NO_WORKERS, "The app is still being loaded; try again in a moment.");
	return true;
}

/* A call that the client sends again, since it does not know how it ended, is one more. */
static bool may_call(const struct mr_session *s, struct mr_error *err)
{
	struct mr_fanout *f = s->all->f;
	struct mr_arena a = {0};
	uint64_t address = s->ws ? mr_ws_address(s->ws) : 0;
	if (!mr_rates_address(f->rates, address, err))
		return false;
	if (!mr_rates_know_callers(f->rates))
		return true;
	bool may = mr_rates_caller(f->rates, mr_node_str(mr_session_auth(s, &a), "userId"), address, err);
	mr_arena_fini(&a);
	return may;
}

void mr_session_call(struct mr_session *s, const struct mr_node *m)
{
	struct mr_str id = mr_node_str(m, "id");
	const struct mr_node *args = mr_node_get(m, "args");
	struct mr_error err;
	struct mr_session_call *same = id.n ? find_call(s, id) : NULL;
	/* Sent again while it runs: it is answered once, or once more when its effect was told before. */
	if (same) {
		same->asked = true;
		same->answered &= has_reply(s, id);
		if (same->effect.p && !same->answered) {
			same->answered = true;
			add_reply(s, same->id, same->effect, same->effect_written, 0);
		}
		return;
	}
	if (!may_call(s, &err) || !check_call(s, m, id, &err)) {
		send_reply(s, id.p ? id : MR_STR(""), (struct mr_str){0}, &err, false);
		return;
	}
	struct mr_buf text = {0};
	if (args && args->kind == MR_MAP)
		mr_json_canonical(&text, args);
	else
		mr_buf_z(&text, "{}");
	struct mr_session_call *c = new_call(s, id, mr_node_str(m, "fn"), mr_buf_view(&text));
	mr_buf_fini(&text);
	const struct mr_fn *fn = mr_app_fn(s->all->f->app, c->fn);
	c->writes = !fn || fn->kind == MR_FN_MUTATION;
	c->cancels = mr_call_is_cancelled(fn);
	if (c->writes)
		next_write(s);
	else if (has_room(s))
		start(c);
}

/* The log shows a call's effect: if that is proof enough its reply travels with this tick, whether or not the worker's word has come. */
void mr_sessions_effects(struct mr_sessions *all, const struct mr_batch *batch, bool durable)
{
	for (size_t i = 0; i < batch->n_effects; i++) {
		const struct mr_effect *effect = &batch->effects[i];
		struct mr_session *s = mr_map_get(&all->by_id, effect->session);
		struct mr_session_call *c = s ? find_call(s, effect->call) : NULL;
		struct mr_error refused;
		/* The worker's word may have come first: its reply has waited for this tick. */
		if (s && !mr_list_empty(&s->replies))
			mr_session_look(s);
		/* A refusal is recorded too; the worker tells it. */
		if (!c || c->effect.p || !durable || mr_error_from_result(effect->result, &refused))
			continue;
		c->effect = (struct mr_str){mr_strndup(effect->result.p, effect->result.n), effect->result.n};
		c->effect_written = effect->written;
		if (!c->asked || c->answered)
			continue;
		c->answered = true;
		add_reply(s, c->id, effect->result, effect->written, batch->n);
	}
}
