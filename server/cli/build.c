#include "build.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "esbuild.h"
#include "files.h"
#include "generate.h"
#include "modules.h"
#include "proto/ground/hash.h"
#include "proto/schema.h"
#include "spawn.h"
#include "web.h"

enum { MANIFEST_TIMEOUT_MS = 20000, MANIFEST_DEPTH = 64 };

/* Puts an error's sentence after the bundler's messages, which are the whole story when there is no sentence. */
static bool say(struct mr_buf *text, const struct mr_error *err)
{
	if (err->message[0])
		mr_buf_printf(text, "%s\n", err->message);
	return false;
}

/* The entry comes by standard input and names no path of this machine, and the bundle of production says nothing of where its parts lay:
 * so the same sources give the same version, whoever builds them. */
static bool bundle(const struct mr_builder *b, const struct mr_modules *m, const char *dir, struct mr_buf *text, struct mr_error *err)
{
	struct mr_buf entry = {0};
	struct mr_args a = {0};
	mr_modules_entry(m, &entry);
	bool ok = mr_esbuild_args(&a, b->place, b->development, err);
	if (ok) {
		mr_args_add(&a, "--loader=ts");
		mr_args_add(&a, "--sourcefile=entry.ts");
		mr_args_add(&a, "--outfile=%s/bundle.js", dir);
		mr_args_add(&a, "--format=iife");
		mr_args_add(&a, "--target=es2022");
		mr_args_add(&a, "--sourcemap=external");
		mr_args_add(&a, "--charset=utf8");
		if (!b->development)
			mr_args_add(&a, "--minify-whitespace");
		ok = mr_esbuild_run(&a, b->app_dir, mr_buf_view(&entry), text, err);
	}
	mr_args_fini(&a);
	mr_buf_fini(&entry);
	return ok;
}

/* Runs the bundle once in the engine; it prints what the app declares. */
static bool read_manifest(const struct mr_builder *b, const char *dir, struct mr_buf *json, struct mr_buf *text, struct mr_error *err)
{
	char *path = mr_printf("%s/bundle.js", dir);
	const char *argv[] = {b->place->worker, "--manifest", path, NULL};
	struct mr_spawn s = {.argv = argv, .out = -1, .err = -1, .tool = true};
	struct mr_buf errors = {0};
	int status = 0;
	bool ok = mr_run(&s, MANIFEST_TIMEOUT_MS, json, &errors, &status, err);
	if (!ok)
		mr_fail(err, MR_TIME_LIMIT, "Loading the app's code takes longer than %d seconds; look for a loop outside of any function.",
			MANIFEST_TIMEOUT_MS / 1000);
	if (ok && status != 0) {
		struct mr_buf words = {0};
		mr_exit_words(status, &words);
		if (errors.n)
			mr_buf_str(text, mr_buf_view(&errors));
		else
			mr_fail(err, MR_FUNCTION_FAILED, "The app's code cannot be loaded (%s).", words.p);
		mr_buf_fini(&words);
		ok = false;
	}
	mr_buf_fini(&errors);
	free(path);
	return ok;
}

/* Our version takes the place of whatever the manifest said. */
static bool write_manifest(const char *dir, struct mr_str json, const char *version, struct mr_error *err)
{
	struct mr_arena arena = {0};
	struct mr_buf out = {0};
	struct mr_enc e;
	const struct mr_node *m = mr_json_read(&arena, json, MANIFEST_DEPTH, false, err);
	char *path = mr_printf("%s/manifest.json", dir);
	size_t others = 0;
	for (size_t i = 0; m && i < m->n; i++)
		others += !mr_str_is(m->items[i].key, "version");
	mr_enc_init(&e, &out, MR_JSON);
	mr_enc_map(&e, others + 1);
	mr_enc_key(&e, MR_STR("version"));
	mr_enc_str(&e, mr_str(version));
	for (size_t i = 0; m && i < m->n; i++) {
		if (mr_str_is(m->items[i].key, "version"))
			continue;
		mr_enc_key(&e, m->items[i].key);
		mr_enc_node(&e, &m->items[i]);
	}
	mr_enc_end(&e);
	bool ok = m && mr_file_write(path, mr_buf_view(&out), 0644, err);
	free(path);
	mr_buf_fini(&out);
	mr_arena_fini(&arena);
	return ok;
}

/* Sums are taken over names and hashes of files, so that no two trees look alike; maps name paths of this machine and do not count. */
struct summing {
	const char *dir;
	struct mr_buf list;
};

static bool sum_file(const char *rel, void *arg)
{
	struct summing *s = arg;
	size_t n = strlen(rel);
	if (n > 4 && strcmp(rel + n - 4, ".map") == 0)
		return true;
	char *path = mr_printf("%s/%s", s->dir, rel);
	struct mr_buf content = {0};
	struct mr_error none;
	uint8_t sum[32] = {0};
	if (mr_file_read(path, &content, &none))
		mr_sha256(content.p, content.n, sum);
	mr_buf_z(&s->list, rel);
	mr_buf_char(&s->list, '\n');
	mr_hex(&s->list, (struct mr_str){(const char *)sum, sizeof sum});
	mr_buf_char(&s->list, '\n');
	mr_buf_fini(&content);
	free(path);
	return true;
}

static void digits(struct mr_str text, char out[MR_VERSION_DIGITS + 1])
{
	uint8_t sum[32];
	struct mr_buf hex = {0};
	mr_sha256(text.p, text.n, sum);
	mr_hex(&hex, (struct mr_str){(const char *)sum, MR_VERSION_DIGITS / 2});
	memcpy(out, hex.p, MR_VERSION_DIGITS + 1);
	mr_buf_fini(&hex);
}

static void name_build(struct mr_app_build *build, const char *dir, struct mr_str manifest)
{
	char *web = mr_printf("%s/web", dir);
	struct summing s = {.dir = web};
	mr_dir_walk(web, sum_file, &s);
	digits(mr_buf_view(&s.list), build->web);
	s.dir = dir;
	sum_file("bundle.js", &s);
	mr_buf_str(&s.list, manifest);
	digits(mr_buf_view(&s.list), build->version);
	mr_buf_fini(&s.list);
	free(web);
}

/* Moves the finished folder to its name. A folder of that name is a build of the same content, perhaps with a web/ exchanged since: it
 * makes room, in one step. */
static bool settle(const char *from, const char *to, struct mr_error *err)
{
	if (rename(from, to) == 0)
		return true;
	if (errno != EEXIST && errno != ENOTEMPTY)
		return mr_path_fail(err, errno, "cannot move the new build to", to);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) != 0) {
		mr_dir_remove(to);
		if (rename(from, to) != 0)
			return mr_path_fail(err, errno, "cannot move the new build to", to);
	}
	utimensat(AT_FDCWD, to, NULL, 0);
	mr_dir_remove(from);
	return true;
}

static bool check_app(const struct mr_builder *b, struct mr_error *err)
{
	char *path = mr_printf("%s/app.ts", b->app_dir);
	bool there = mr_path_exists(path);
	free(path);
	return there || mr_fail(err, MR_NOT_FOUND, "There is no app.ts in %s; give the folder of the app with --app-dir DIR.", b->app_dir);
}

static bool has_react(const struct mr_builder *b)
{
	char *app = mr_place_above(b->app_dir, "node_modules/react"), *sdk = mr_place_above(b->place->sdk, "node_modules/react");
	bool has = app || sdk;
	free(app);
	free(sdk);
	return has;
}

static bool build_steps(const struct mr_builder *b, const char *dir, struct mr_app_build *build, struct mr_buf *text, struct mr_error *err)
{
	struct mr_modules m = {0};
	struct mr_buf manifest = {0};
	char *web = mr_printf("%s/web", dir);
	bool ok = check_app(b, err) && mr_dir_make(dir, 0755, err) && mr_modules_find(&m, b->app_dir, err) &&
		  mr_generate(&m, b->app_dir, has_react(b), err) && bundle(b, &m, dir, text, err) &&
		  read_manifest(b, dir, &manifest, text, err);
	if (ok) {
		struct mr_app *app = mr_app_read(mr_buf_view(&manifest), err);
		ok = app != NULL;
		mr_app_drop(&app);
	}
	ok = ok && mr_web_build(b->place, b->app_dir, web, b->development, text, err);
	if (ok) {
		name_build(build, dir, mr_buf_view(&manifest));
		build->dir = mr_printf("%s/app/%s", b->data_dir, build->version);
		ok = write_manifest(dir, mr_buf_view(&manifest), build->version, err) && settle(dir, build->dir, err);
	}
	free(web);
	mr_buf_fini(&manifest);
	mr_modules_fini(&m);
	return ok;
}

bool mr_build_app(const struct mr_builder *b, struct mr_app_build *build, struct mr_buf *text)
{
	struct mr_error err = {0};
	char *dir = mr_printf("%s/app/new-%d", b->data_dir, (int)getpid());
	*build = (struct mr_app_build){0};
	mr_dir_remove(dir);
	bool ok = build_steps(b, dir, build, text, &err);
	if (!ok) {
		say(text, &err);
		mr_dir_remove(dir);
		mr_app_build_fini(build);
	}
	free(dir);
	return ok;
}

bool mr_build_web(const struct mr_builder *b, const char *dir, struct mr_buf *text)
{
	struct mr_error err = {0};
	char *fresh = mr_printf("%s/app/new-%d", b->data_dir, (int)getpid()), *web = mr_printf("%s/web", dir);
	mr_dir_remove(fresh);
	bool ok = mr_web_build(b->place, b->app_dir, fresh, b->development, text, &err) && settle(fresh, web, &err);
	if (!ok) {
		say(text, &err);
		mr_dir_remove(fresh);
	}
	free(fresh);
	free(web);
	return ok;
}

void mr_app_build_fini(struct mr_app_build *build)
{
	free(build->dir);
	build->dir = NULL;
}

struct old_build {
	char *path;
	struct timespec when;
};

static int newest_first(const void *a, const void *b)
{
	const struct old_build *x = a, *y = b;
	if (x->when.tv_sec != y->when.tv_sec)
		return x->when.tv_sec < y->when.tv_sec ? 1 : -1;
	return x->when.tv_nsec < y->when.tv_nsec ? 1 : x->when.tv_nsec > y->when.tv_nsec ? -1 : 0;
}

/* Is it the folder of a build that ended half-way? Its process is gone then. */
static bool left_over(const char *name)
{
	int pid = strncmp(name, "new-", 4) == 0 ? atoi(name + 4) : 0;
	return pid > 0 && kill(pid, 0) != 0 && errno == ESRCH;
}

void mr_build_prune(const char *data_dir, const char *keep)
{
	char *app = mr_printf("%s/app", data_dir);
	DIR *dir = opendir(app);
	struct old_build *found = NULL;
	size_t n = 0;
	for (struct dirent *d; dir && (d = readdir(dir));) {
		char *path = mr_printf("%s/%s", app, d->d_name);
		struct stat st;
		if (left_over(d->d_name)) {
			mr_dir_remove(path);
		} else if (strlen(d->d_name) == MR_VERSION_DIGITS && stat(path, &st) == 0) {
			found = mr_realloc(found, (n + 1) * sizeof *found);
			found[n++] = (struct old_build){path, st.st_mtim};
			continue;
		}
		free(path);
	}
	if (dir)
		closedir(dir);
	if (n)
		qsort(found, n, sizeof *found, newest_first);
	for (size_t i = 0; i < n; i++) {
		if (i >= MR_BUILDS_KEPT && (!keep || strcmp(found[i].path, keep) != 0))
			mr_dir_remove(found[i].path);
		free(found[i].path);
	}
	free(found);
	free(app);
}
