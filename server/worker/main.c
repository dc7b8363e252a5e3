/* millrace-worker: runs an app's functions for a fanout.
 *
 *   millrace-worker --build DIR --fanout PATH     DIR holds bundle.js and manifest.json; PATH is the fanout's control socket
 *   millrace-worker --manifest BUNDLE             prints what the bundle declares
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/js/guard.h"
#include "server/js/source_map.h"
#include "worker.h"

enum {
	LOAD_MS_LEAST = 10 * 1000, /* for loading a bundle */
	MEMORY_EVERY_US = 5 * 1000 * 1000,
	EXIT_POLL_US = 2000,
	ABORT_US = 300 * 1000, /* how long taking back may take when the fanout is gone */
};

enum mr_level mr_worker_level(const struct mr_settings *s)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (!strcmp(s->log_level, names[i]))
			return (enum mr_level)i;
	return MR_INFO;
}

/* ---- code ---- */

static bool read_build_file(const char *dir, const char *name, struct mr_buf *b, struct mr_error *err)
{
	char *path = mr_printf("%s/%s", dir, name);
	bool ok = mr_file_read(path, b, err);
	free(path);
	return ok;
}

static bool load_manifest(struct mr_worker *w, const char *dir, struct mr_error *err)
{
	struct mr_buf text = {0};
	if (read_build_file(dir, "manifest.json", &text, err))
		w->app = mr_app_read(mr_buf_view(&text), err);
	mr_buf_fini(&text);
	return w->app != NULL;
}

static void load_source_map(struct mr_worker *w, const char *dir)
{
	struct mr_buf text = {0};
	struct mr_error err;
	if (read_build_file(dir, "bundle.js.map", &text, &err))
		w->source_map = mr_source_map_read(mr_buf_view(&text), "bundle.js");
	mr_buf_fini(&text);
}

static void last_words(enum mr_reason reason, void *arg)
{
	struct mr_worker *w = arg;
	if (w->ring)
		mr_ring_reason(w->ring, reason);
}

/* The guard's limit lies above the engine's own, which is the gentler one. */
static void guard(struct mr_worker *w, int64_t slice_ms)
{
	const struct mr_guard_limits limits = {slice_ms * 3 / 2 + 200, w->settings.worker_memory_limit};
	mr_guard_stop();
	mr_guard_start(&limits, last_words, w);
}

static bool load_bundle(struct mr_worker *w, const char *dir, struct mr_error *err)
{
	struct mr_buf source = {0};
	struct mr_js_host host = mr_run_host;
	const struct mr_js_limits limits = {
		w->settings.function_time_limit, (size_t)w->settings.max_result, w->settings.worker_memory_limit};
	host.arg = w;
	struct mr_buf variables = {0};
	w->js = mr_js_new(&host, &limits);
	mr_variables_print(&variables);
	mr_js_variables(w->js, mr_buf_view(&variables));
	mr_buf_fini(&variables);
	guard(w, MR_MAX(LOAD_MS_LEAST, w->settings.function_time_limit));
	mr_guard_enter();
	bool ok = read_build_file(dir, "bundle.js", &source, err) && mr_js_load(w->js, mr_buf_view(&source), "bundle.js", err);
	mr_guard_leave();
	guard(w, w->settings.function_time_limit);
	mr_buf_fini(&source);
	return ok;
}

/* ---- life ---- */

static void on_first_lease(struct mr_pg *pg, const struct mr_error *err, void *arg)
{
	struct mr_worker *w = arg;
	if (!pg) {
		mr_log(MR_WARN, "not ready: %s", err->message);
		mr_pool_lease(w->pool, w->settings.call_time_limit * 1000, on_first_lease, w);
		return;
	}
	mr_pool_return(w->pool, pg);
	mr_scheduler_start(w);
	if (w->link)
		mr_door_ready(w);
}

void mr_worker_welcomed(struct mr_worker *w)
{
	w->pool = mr_pool_new(w->loop, w->settings.database_url, "worker", w->lines);
	mr_pool_lease(w->pool, w->settings.call_time_limit * 1000, on_first_lease, w);
}

static void on_exit_timer(void *arg)
{
	struct mr_worker *w = arg;
	if (w->link && mr_link_pending(w->link))
		mr_timer_start(w->exit_timer, EXIT_POLL_US);
	else
		mr_loop_stop(w->loop);
}

void mr_worker_deserted(struct mr_worker *w)
{
	mr_log(MR_INFO, "the fanout is gone");
	mr_timer_start(w->exit_timer, ABORT_US);
	mr_jobs_abort(w);
}

/* A heap that stays near the limit after a collection would make innocent calls pay: such a worker ends by itself, between calls. */
static void on_memory_timer(void *arg)
{
	struct mr_worker *w = arg;
	int64_t resident = mr_guard_resident();
	if (resident > w->settings.worker_memory_limit / 20 * 17) {
		w->memory_high++;
		mr_js_collect(w->js);
	} else {
		w->memory_high = 0;
	}
	if (w->memory_high >= 3 && !w->retiring) {
		mr_log(MR_WARN, "memory stays at %" PRId64 " bytes, near worker_memory_limit: the worker is replaced", resident);
		mr_jobs_retire(w);
	}
	mr_timer_start(w->memory_timer, MEMORY_EVERY_US);
}

static int run(struct mr_worker *w, const char *build, const char *fanout)
{
	struct mr_error err;
	if (!load_manifest(w, build, &err))
		mr_die("%s/manifest.json: %s", build, err.message);
	load_source_map(w, build);
	if (!load_bundle(w, build, &err)) {
		struct mr_buf text = {0};
		mr_source_map_text(w->source_map, mr_str(err.message), &text);
		mr_die("the app does not load: %s", text.p);
	}
	w->loop = mr_loop_new();
	w->exit_timer = mr_timer_new(w->loop, on_exit_timer, w);
	w->memory_timer = mr_timer_new(w->loop, on_memory_timer, w);
	mr_timer_start(w->memory_timer, MEMORY_EVERY_US);
	mr_jobs_init(w);
	if (!mr_door_open(w, fanout, &err))
		mr_die("%s", err.message);
	mr_loop_run(w->loop);
	/* The kernel takes back the rest; Postgres rolls back what is open. */
	mr_log(MR_INFO, "stopped");
	return 0;
}

/* Takes `--name value` or `--name=value` out of what the settings left. */
static const char *option(int argc, char **argv, const char *name)
{
	size_t n = strlen(name);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], name) && i + 1 < argc)
			return argv[i + 1];
		if (!strncmp(argv[i], name, n) && argv[i][n] == '=')
			return argv[i] + n + 1;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct mr_worker w = {.ring_fd = -1, .bell = -1};
	struct mr_error err;
	mr_log_init("worker", MR_INFO);
	if (!mr_settings_load(&w.settings, &argc, argv, &err))
		mr_die("%s", err.message);
	mr_log_init("worker", mr_worker_level(&w.settings));
	signal(SIGPIPE, SIG_IGN);
	const char *bundle = option(argc, argv, "--manifest"), *build = option(argc, argv, "--build"),
		   *fanout = option(argc, argv, "--fanout");
	if (bundle)
		return mr_print_manifest(&w.settings, bundle);
	if (!build || !fanout) {
		fprintf(stderr, "millrace-worker --build DIR --fanout PATH | --manifest BUNDLE\n");
		return 2;
	}
	w.development = !strcmp(w.settings.mode, "development");
	return run(&w, build, fanout);
}
