#include "revoked.h"

#include <stdlib.h>

#include "load.h"
#include "proto/ground/log.h"
#include "proto/value.h"
#include "session.h"
#include "tasks.h"

#define ENTITY "_revocations"

enum {
	AGAIN_US = 200 * 1000,
	TELL_EVERY = 25 /* failures: 5 s */,
	TIDY_US = 60 * 1000 * 1000,
	FORGET_MS = 3600 * 1000, /* after its end: clocks differ */
	USERS_FEW = 10000        /* that are never forgotten; of more the operator is told */
};

/* A session, or a user. */
struct one {
	int64_t before_ms; /* of a user: tokens issued before then */
	int64_t until_ms;  /* when it may be forgotten; INT64_MAX: never */
};

struct waiter {
	struct mr_list in_waiters;
	mr_call_cb *then;
	void *arg;
};

struct mr_revoked {
	struct mr_fanout *f;
	bool known;
	struct mr_map sessions, users;
	struct mr_list waiters;
	/* Reading it. */
	struct mr_app *app; /* by whose declaration; NULL: nothing is being read */
	struct mr_task *task;
	struct mr_rows rows;
	bool again;             /* and once more after that */
	unsigned failures;      /* in a row */
	struct mr_timer *later; /* it could not be read */
	struct mr_timer *tidy;
};

/* --- the set --- */

static void keep(struct mr_map *map, struct mr_str key, int64_t before_ms, int64_t until_ms)
{
	struct one *one = mr_map_get(map, key);
	if (!one)
		one = mr_map_make(map, key, sizeof *one);
	one->before_ms = MR_MAX(one->before_ms, before_ms);
	one->until_ms = MR_MAX(one->until_ms, until_ms);
}

static void forget(struct mr_map *map, int64_t before_ms)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(map, &i, &key, &value);) {
		struct one *one = value;
		if (one->until_ms >= before_ms)
			continue;
		mr_map_del(map, key);
		free(one);
	}
}

static void on_tidy(void *arg)
{
	struct mr_revoked *r = arg;
	forget(&r->sessions, mr_wall_us() / 1000 - FORGET_MS);
	forget(&r->users, mr_wall_us() / 1000 - FORGET_MS);
	mr_timer_start(r->tidy, TIDY_US);
}

static int64_t ms_of(const struct mr_value *v, int64_t otherwise)
{
	return v->null ? otherwise : mr_datetime_to_unix_ms(v->i);
}

static const struct mr_value *field(const struct mr_row *row, const char *name)
{
	int i = mr_entity_field(row->entity, mr_str(name));
	return i < 0 ? NULL : &row->v[i];
}

/* Of a user until no token from before it is taken any more by its age, if that is limited. */
static int64_t user_until(const struct mr_revoked *r, int64_t before_ms)
{
	int64_t age = r->f->settings.auth_token_max_age;
	return age && before_ms < INT64_MAX - age ? before_ms + age : INT64_MAX;
}

/* Whom it is about: a user, or (user empty) a session by the row's id; false: it is no such row. */
static bool take(struct mr_revoked *r, const struct mr_row *row, struct mr_str *about)
{
	const struct mr_value *user = field(row, "userId"), *before = field(row, "before"), *until = field(row, "until");
	if (!user || !before || !until)
		return false;
	*about = user->null ? (struct mr_str){0} : user->text;
	if (user->null)
		keep(&r->sessions, (struct mr_str){(const char *)row->v[0].uuid, 16}, 0, ms_of(until, INT64_MAX));
	else
		keep(&r->users, user->text, ms_of(before, INT64_MAX), user_until(r, ms_of(before, INT64_MAX)));
	return true;
}

/* --- asking --- */

bool mr_revoked_check(const struct mr_revoked *r, const uint8_t *session, struct mr_str user, int64_t issued_ms, struct mr_error *err)
{
	if (session && mr_map_get(&r->sessions, (struct mr_str){(const char *)session, 16}))
		return mr_fail(err, MR_SESSION_REVOKED, "This session has been signed out; sign in again.");
	const struct one *one = user.n ? mr_map_get(&r->users, user) : NULL;
	if (one && issued_ms < one->before_ms)
		return mr_fail(err, MR_SESSION_REVOKED, "All sessions that this user had have been revoked; sign in again.");
	return true;
}

bool mr_revoked_check_token(const struct mr_revoked *r, const struct mr_token *t, struct mr_error *err)
{
	return mr_revoked_check(r, t->has_session ? t->session : NULL, mr_node_str(t->identity, "userId"), t->issued_ms, err);
}

/* --- reading it --- */

static void end_reading(struct mr_revoked *r)
{
	mr_rows_fini(&r->rows);
	mr_app_drop(&r->app);
}

static void tell_waiters(struct mr_revoked *r)
{
	while (!mr_list_empty(&r->waiters)) {
		struct waiter *w = MR_CONTAINER(r->waiters.next, struct waiter, in_waiters);
		mr_list_del(&w->in_waiters);
		w->then(w->arg);
		free(w);
	}
}

/* A token says itself how long it is good, so nothing but the setting bounds them. */
static void tell_if_many(const struct mr_revoked *r)
{
	if (r->f->index == 0 && !r->f->settings.auth_token_max_age && r->users.n > USERS_FEW)
		mr_log(MR_WARN,
			"the tokens of %u users are revoked, and that is kept for ever, here in memory too, for a token may be good for "
			"ever; set auth_token_max_age, and it is forgotten when they are too old (docs/identity.md)",
			r->users.n);
}

static void on_read(void *arg, const struct mr_node *reply, struct mr_arena *arena, const struct mr_error *err)
{
	struct mr_revoked *r = arg;
	const struct mr_node *error = mr_node_get(reply, "error");
	bool ok = !err && !error && !r->rows.misfit;
	r->task = NULL;
	for (size_t i = 0; ok && i < r->rows.n; i++) {
		struct mr_str about;
		take(r, &r->rows.v[i]->row, &about);
	}
	bool again = r->again;
	struct mr_app *app = again || !ok ? mr_app_hold(r->app) : NULL;
	end_reading(r);
	if (!ok) {
		struct mr_str why = err ? mr_str(err->message) : mr_node_str(error, "message");
		mr_log(++r->failures % TELL_EVERY == 2 ? MR_WARN : MR_DEBUG, "what is revoked cannot be read: %.*s. %s", (int)why.n,
			why.p ? why.p : "", r->known ? "What was known before stays so." : "Nothing is served before it is.");
		mr_timer_start(r->later, AGAIN_US);
		r->app = app;
		return;
	}
	mr_sessions_revoke(r->f->sessions);
	if (!r->known)
		tell_if_many(r);
	r->known = true;
	r->failures = 0;
	tell_waiters(r);
	mr_sessions_advance(r->f->sessions);
	mr_app_drop(&app);
	if (again)
		mr_revoked_reread(r);
}

static void ask(struct mr_revoked *r)
{
	const struct mr_entity *e = mr_app_entity(r->app, MR_STR(ENTITY));
	struct mr_buf m = {0};
	r->again = false;
	mr_load_print(&m, e, MR_STR("[\"true\"]"), MR_STR("[]"), -1);
	r->task = mr_task_reading(r->f, &m, (struct mr_str){0}, on_read, r);
	mr_task_want_rows(r->task, r->app, e, &r->rows);
}

static void on_later(void *arg)
{
	ask(arg);
}

static void read_by(struct mr_revoked *r, struct mr_app *app)
{
	r->again = true;
	if (r->app)
		return; /* it is being read, or will be */
	r->app = mr_app_hold(app);
	ask(r);
}

void mr_revoked_await(struct mr_revoked *r, struct mr_app *app, mr_call_cb *then, void *arg)
{
	if (r->known || !mr_app_entity(app, MR_STR(ENTITY))) {
		then(arg);
		return;
	}
	struct waiter *w = mr_alloc(sizeof *w);
	*w = (struct waiter){.then = then, .arg = arg};
	mr_list_add_tail(&r->waiters, &w->in_waiters);
	read_by(r, app);
}

void mr_revoked_reread(struct mr_revoked *r)
{
	struct mr_app *app = r->f->app;
	if (app && mr_app_entity(app, MR_STR(ENTITY)))
		read_by(r, app);
}

void mr_revoked_apply(struct mr_revoked *r, const struct mr_batch *batch)
{
	bool untold = false;
	for (size_t i = 0; i < batch->n_changes; i++) {
		const struct mr_change *c = &batch->changes[i];
		if (!mr_str_is(c->entity->name, ENTITY))
			continue;
		untold |= c->bulk;
		if (c->bulk || !c->is.v)
			continue;
		struct mr_str user;
		if (!take(r, &c->is, &user))
			continue;
		if (user.n)
			mr_sessions_revoke_user(r->f->sessions, user);
		else
			mr_sessions_revoke_session(r->f->sessions, c->is.v[0].uuid);
	}
	if (untold)
		mr_revoked_reread(r);
}

/* --- life --- */

struct mr_revoked *mr_revoked_new(struct mr_fanout *f)
{
	struct mr_revoked *r = mr_alloc(sizeof *r);
	r->f = f;
	mr_list_init(&r->waiters);
	r->later = mr_timer_new(f->loop, on_later, r);
	r->tidy = mr_timer_new(f->loop, on_tidy, r);
	mr_timer_start(r->tidy, TIDY_US);
	return r;
}

static void clear(struct mr_map *map)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(map, &i, &key, &value);)
		free(value);
	mr_map_fini(map);
}

void mr_revoked_delete(struct mr_revoked **revoked)
{
	struct mr_revoked *r = *revoked;
	*revoked = NULL;
	if (!r)
		return;
	tell_waiters(r);
	end_reading(r);
	mr_timer_delete(&r->later);
	mr_timer_delete(&r->tidy);
	clear(&r->sessions);
	clear(&r->users);
	free(r);
}
