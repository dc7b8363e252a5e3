#include "code.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "database.h"
#include "job.h"
#include "notes.h"
#include "proto/ground/log.h"
#include "proto/ground/node.h"
#include "typecheck.h"
#include "watch.h"

/* Until what failed is tried again by itself: Postgres may have refused it for a reason that passes, or somebody killed the workers. */
enum { AGAIN_FIRST_US = 1000000, AGAIN_MOST_US = 60000000 };

struct mr_app_code {
	struct mr_code_config config;
	struct mr_builder builder;
	struct mr_edge *edge;
	char *conninfo;
	struct mr_crew *serving, *starting; /* NULL: none */
	struct mr_job *build, *check;
	char *error; /* what browsers are shown, or NULL */
	int waiting; /* MR_CHANGED_... that came during a build */
	struct mr_timer *again;
	int64_t pause_us;
	bool by_itself; /* the last build was no answer to a change */
	bool served, checked_bad;
};

/* What a build job writes back: `built VERSION WEB\n` and warnings, or `pending\n` and SQL. */
static const char built_word[] = "built ", pending_word[] = "pending\n", away_word[] = "away\n";

static void on_again(void *arg);

struct mr_app_code *mr_code_new(const struct mr_code_config *config)
{
	struct mr_app_code *c = mr_alloc(sizeof *c);
	c->config = *config;
	c->builder = (struct mr_builder){config->place, config->settings->app_dir, config->settings->data_dir, config->development};
	c->build = mr_job_new(config->loop, "the build");
	c->check = mr_job_new(config->loop, "the type check");
	c->again = mr_timer_new(config->loop, on_again, c);
	return c;
}

void mr_code_delete(struct mr_app_code **cp)
{
	struct mr_app_code *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	mr_timer_delete(&c->again);
	mr_job_delete(&c->build);
	mr_job_delete(&c->check);
	free(c->error);
	free(c->conninfo);
	free(c);
}

void mr_code_database(struct mr_app_code *c, const char *conninfo)
{
	free(c->conninfo);
	c->conninfo = mr_strdup(conninfo);
}

void mr_code_edge(struct mr_app_code *c, struct mr_edge *edge)
{
	c->edge = edge;
}

/* Text for browsers: JSON must be UTF-8, and a bundle's own message may be anything. */
static char *printable(struct mr_str text)
{
	char *out = mr_strndup(text.p ? text.p : "", text.n);
	if (!mr_utf8_ok(text))
		for (char *p = out; *p; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
	return out;
}

/* Shows an error and keeps it for browsers that come later; nothing new where the same is met again without a change. */
static void fail(struct mr_app_code *c, int status, struct mr_str text)
{
	char *before = c->error;
	c->error = printable(text);
	bool told = c->by_itself && before && strcmp(before, c->error) == 0;
	free(before);
	if (c->config.development && status == MR_EXIT_FAILED) {
		mr_timer_start(c->again, c->pause_us);
		c->pause_us = MR_MIN(c->pause_us * 2, AGAIN_MOST_US);
	}
	if (told)
		return;
	fprintf(stderr, "%s%s", c->error, text.n && text.p[text.n - 1] == '\n' ? "" : "\n");
	if (c->serving)
		mr_log(MR_ERROR, "the new code is not taken (see above); the old code keeps serving");
	if (c->config.development)
		mr_edge_dev(c->edge, c->error, false);
	if (!c->serving)
		c->config.failed(status, text, c->config.arg);
}

static void all_is_well(struct mr_app_code *c, bool reload)
{
	bool had = c->error != NULL;
	free(c->error);
	c->error = NULL;
	if (c->config.development && (had || reload))
		mr_edge_dev(c->edge, NULL, reload);
}

/* --- the build job --- */

static bool migrate(const struct mr_app_code *c, const char *dir, struct mr_buf *out)
{
	struct mr_buf sql = {0};
	struct mr_error err;
	bool ok = mr_database_plan(c->conninfo, dir, &sql, &err);
	bool pending = ok && sql.n && !c->config.development;
	if (pending) {
		mr_buf_reset(out);
		mr_buf_z(out, pending_word);
		mr_buf_str(out, mr_buf_view(&sql));
	} else if (ok) {
		ok = mr_database_apply(c->conninfo, c->config.settings, mr_buf_view(&sql), &err);
		if (ok && sql.n)
			mr_log(MR_INFO, "the database was brought up to what the app declares");
	}
	if (!ok) {
		mr_buf_reset(out);
		mr_buf_printf(out, "%s%s\n", err.code == MR_POSTGRES_UNAVAILABLE ? away_word : "", err.message);
	}
	mr_buf_fini(&sql);
	return ok;
}

/* What was said of the code that serves is not said again. */
static void tell_notes(const struct mr_app_code *c, const char *dir)
{
	struct mr_buf now = {0}, before = {0};
	mr_notes(dir, c->conninfo, &now);
	if (c->serving)
		mr_notes(c->serving->build.dir, c->conninfo, &before);
	if (now.n && !mr_str_eq(mr_buf_view(&now), mr_buf_view(&before)))
		for (char *save, *line = strtok_r(now.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			mr_log(MR_WARN, "%s", line);
	mr_buf_fini(&now);
	mr_buf_fini(&before);
}

static bool work_build(struct mr_buf *out, void *arg)
{
	struct mr_app_code *c = arg;
	struct mr_app_build build;
	struct mr_buf text = {0};
	bool ok = mr_build_app(&c->builder, &build, &text);
	if (ok) {
		mr_buf_printf(out, "%s%s %s\n", built_word, build.version, build.web);
		mr_buf_str(out, mr_buf_view(&text));
		ok = migrate(c, build.dir, out);
		if (ok)
			tell_notes(c, build.dir);
		mr_build_prune(c->builder.data_dir, c->serving ? c->serving->build.dir : build.dir);
		mr_app_build_fini(&build);
	} else {
		mr_buf_str(out, mr_buf_view(&text));
	}
	mr_buf_fini(&text);
	return ok;
}

static bool work_web(struct mr_buf *out, void *arg)
{
	struct mr_app_code *c = arg;
	return mr_build_web(&c->builder, c->serving->build.dir, out);
}

static bool work_check(struct mr_buf *out, void *arg)
{
	struct mr_app_code *c = arg;
	return mr_typecheck(c->config.place, c->config.settings->app_dir, c->config.settings->data_dir, out);
}

static void check_done(bool ok, struct mr_str out, void *arg)
{
	struct mr_app_code *c = arg;
	if (!ok) {
		fprintf(stderr, "%.*s", (int)out.n, out.n ? out.p : "");
		mr_log(MR_WARN, "there are type errors (see above); the code runs all the same");
		mr_edge_types(c->edge, out);
	} else if (c->checked_bad)
		mr_log(MR_INFO, "the types are right again");
	c->checked_bad = !ok;
}

static void next(struct mr_app_code *c)
{
	int waiting = c->waiting;
	c->waiting = 0;
	if (waiting)
		mr_code_change(c, waiting);
}

/* Reads `built VERSION WEB\n`; returns what follows it. */
static struct mr_str read_built(const struct mr_app_code *c, struct mr_str out, struct mr_app_build *build)
{
	const size_t head = sizeof built_word - 1, n = MR_VERSION_DIGITS;
	const size_t all = head + n + 1 + n + 1;
	*build = (struct mr_app_build){0};
	MR_ASSERT(out.n >= all && memcmp(out.p, built_word, head) == 0);
	memcpy(build->version, out.p + head, n);
	memcpy(build->web, out.p + head + n + 1, n);
	build->dir = mr_printf("%s/app/%s", c->builder.data_dir, build->version);
	return (struct mr_str){out.p + all, out.n - all};
}

static void take_build(struct mr_app_code *c, struct mr_app_build *build)
{
	if (c->starting && strcmp(c->starting->build.version, build->version) == 0) {
		mr_app_build_fini(build);
		return;
	}
	if (c->starting)
		mr_crew_leave(c->starting, true);
	c->starting = NULL;
	if (c->serving && strcmp(c->serving->build.version, build->version) == 0) {
		all_is_well(c, strcmp(c->serving->build.web, build->web) != 0);
		memcpy(c->serving->build.web, build->web, sizeof build->web);
		mr_app_build_fini(build);
		return;
	}
	c->starting = mr_crew_new(c->config.crews, build, c->config.workers);
	mr_edge_app(c->edge, c->starting->build.dir, c->starting->build.version, c->config.workers);
}

static void build_done(bool ok, struct mr_str out, void *arg)
{
	struct mr_app_code *c = arg;
	const size_t n = sizeof pending_word - 1, away = sizeof away_word - 1;
	if (!ok && out.n >= away && memcmp(out.p, away_word, away) == 0) {
		fail(c, MR_EXIT_NO_DATABASE, (struct mr_str){out.p + away, out.n - away});
	} else if (!ok) {
		fail(c, MR_EXIT_FAILED, out);
	} else if (out.n >= n && memcmp(out.p, pending_word, n) == 0) {
		fail(c, MR_EXIT_PENDING, (struct mr_str){out.p + n, out.n - n});
	} else {
		struct mr_app_build build;
		struct mr_str warnings = read_built(c, out, &build);
		if (warnings.n)
			fprintf(stderr, "%.*s", (int)warnings.n, warnings.p);
		take_build(c, &build);
		if (c->config.development && c->config.place->tsc)
			mr_job_start(c->check, work_check, check_done, c);
	}
	next(c);
}

static void web_done(bool ok, struct mr_str out, void *arg)
{
	struct mr_app_code *c = arg;
	if (!ok) {
		fail(c, MR_EXIT_FAILED, out);
	} else {
		if (out.n)
			fprintf(stderr, "%.*s", (int)out.n, out.p);
		mr_log(MR_INFO, "the page was built anew");
		all_is_well(c, true);
	}
	next(c);
}

static void build(struct mr_app_code *c, int changed)
{
	if (mr_job_running(c->build)) {
		c->waiting |= changed;
		return;
	}
	/* A page alone is exchanged under the serving build; while code is broken or on its way, all is built. */
	bool web = changed == MR_CHANGED_WEB && c->serving && !c->starting && !c->error;
	mr_job_start(c->build, web ? work_web : work_build, web ? web_done : build_done, c);
}

void mr_code_change(struct mr_app_code *c, int changed)
{
	c->by_itself = false;
	c->pause_us = AGAIN_FIRST_US;
	mr_timer_stop(c->again);
	build(c, changed);
}

static void on_again(void *arg)
{
	struct mr_app_code *c = arg;
	c->by_itself = true;
	build(c, MR_CHANGED_CODE | MR_CHANGED_WEB);
}

/* --- the edge's word --- */

static void say_app(struct mr_app_code *c, const struct mr_crew *crew)
{
	if (crew)
		mr_edge_app(c->edge, crew->build.dir, crew->build.version, crew->n);
}

void mr_code_edge_up(struct mr_app_code *c)
{
	say_app(c, c->serving);
	say_app(c, c->starting);
	if (c->config.development && c->error)
		mr_edge_dev(c->edge, c->error, false);
}

void mr_code_serves(struct mr_app_code *c, struct mr_str version)
{
	struct mr_crew *crew = c->starting, *old = c->serving;
	if (!crew || !mr_str_is(version, crew->build.version))
		return;
	crew->state = MR_CREW_SERVING;
	c->serving = crew;
	c->starting = NULL;
	bool reload = old && strcmp(old->build.web, crew->build.web) != 0;
	if (old)
		mr_crew_leave(old, false);
	if (c->served)
		mr_log(MR_INFO, "the new code serves (version %s)", crew->build.version);
	all_is_well(c, reload);
	if (!c->served) {
		c->served = true;
		c->config.first(c->config.arg);
	}
}

void mr_code_refused(struct mr_app_code *c, struct mr_str version, struct mr_str sentence)
{
	struct mr_crew *crew = c->starting;
	if (!crew || !mr_str_is(version, crew->build.version)) {
		mr_log(MR_ERROR, "the fanout refuses the code that serves: %.*s", (int)sentence.n, sentence.n ? sentence.p : "");
		return;
	}
	c->starting = NULL;
	mr_crew_leave(crew, true);
	fail(c, MR_EXIT_FAILED, sentence);
}
