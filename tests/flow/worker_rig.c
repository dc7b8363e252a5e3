#include "worker_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/ground/log.h"
#include "storage/install.h"

extern char **environ;

static const char *program(void)
{
	const char *path = getenv("MILLRACE_WORKER");
	if (!path)
		mr_die("MILLRACE_WORKER must name the executable millrace-worker");
	return path;
}

/* ---- frames ---- */

static void on_answer(struct rig *r, const struct mr_node *m, struct mr_str text)
{
	int64_t n;
	if (!mr_node_int(mr_node_get(m, "n"), &n) || n < 1 || n >= RIG_ANSWERS)
		mr_die("an answer without a number: %.*s", (int)text.n, text.p);
	if (r->answers[n])
		mr_die("answered twice: %.*s and %s", (int)text.n, text.p, r->answers[n]);
	r->answers[n] = mr_strndup(text.p, text.n);
	r->n_answers++;
}

static void send_welcome(struct rig_worker *w)
{
	struct mr_buf b = {0};
	const int fds[] = {w->rig->ring_fd, w->rig->bell};
	mr_ring_reset_lane(w->rig->ring, w->lane);
	mr_buf_printf(&b, "{\"t\":\"welcome\",\"lane\":%d,\"origin\":\"00112233445566ff\"}", w->lane);
	mr_link_send_fds(w->link, mr_buf_view(&b), fds, 2);
	mr_buf_fini(&b);
}

static void on_frame(struct mr_link *link, struct mr_str text, const int *fds, int n_fds, void *arg)
{
	struct rig_worker *w = arg;
	if (!text.p) {
		mr_link_delete(&w->link);
		return;
	}
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *m = mr_json_read(&a, text, 1024, false, &err);
	if (!m)
		mr_die("the worker sent what is no JSON: %s: %.*s", err.message, (int)text.n, text.p);
	struct mr_str t = mr_node_str(m, "t");
	if (mr_str_is(t, "hello")) {
		send_welcome(w);
	} else if (mr_str_is(t, "ready")) {
		w->ready = true;
	} else if (mr_str_is(t, "log")) {
		mr_buf_str(&w->rig->logs, text);
		mr_buf_char(&w->rig->logs, '\n');
	} else if (mr_str_is(t, "slow")) {
		mr_buf_str(&w->rig->slow, text);
	} else {
		on_answer(w->rig, m, text);
	}
	mr_arena_fini(&a);
}

static void on_connection(void *arg, int events)
{
	struct rig *r = arg;
	int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	struct rig_worker *w = r->starting;
	MR_ASSERT(!w->link);
	w->link = mr_link_new(r->loop, fd, on_frame, w);
}

/* ---- life ---- */

static void write_file(const char *dir, const char *name, struct mr_str text)
{
	char *path = mr_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	if (!f || fwrite(text.p, 1, text.n, f) != text.n || fclose(f))
		mr_die("cannot write %s", path);
	free(path);
}

static void read_file(const char *path, struct mr_buf *b)
{
	FILE *f = fopen(path, "r");
	if (!f)
		mr_die("cannot open %s: %s", path, strerror(errno));
	for (size_t n; (n = fread(mr_buf_room(b, 65536), 1, 65536, f)) > 0;)
		b->n += n;
	fclose(f);
}

static void install(struct rig *r)
{
	struct mr_error err;
	struct mr_buf sql = {0};
	if (!mr_install_plan(r->pg.conninfo, r->app, &sql, &err) || !mr_install_apply(r->pg.conninfo, mr_buf_view(&sql), 5000, &err))
		mr_die("install: %s", err.message);
	mr_buf_fini(&sql);
}

static void build(struct rig *r, const char *bundle)
{
	struct mr_buf source = {0}, manifest = {0}, errors = {0};
	struct mr_error err;
	snprintf(r->bundle, sizeof r->bundle, "%s/bundle.js", r->dir);
	read_file(bundle, &source);
	write_file(r->dir, "bundle.js", mr_buf_view(&source));
	if (rig_manifest(r, r->bundle, &manifest, &errors))
		mr_die("no manifest: %s", errors.p);
	write_file(r->dir, "manifest.json", mr_buf_view(&manifest));
	r->app = mr_app_read(mr_buf_view(&manifest), &err);
	if (!r->app)
		mr_die("manifest: %s", err.message);
	mr_buf_fini(&source);
	mr_buf_fini(&manifest);
	mr_buf_fini(&errors);
}

void rig_init(struct rig *r, const char *bundle)
{
	memset(r, 0, sizeof *r);
	mr_test_pg_init(&r->pg);
	r->db = mr_test_connect(&r->pg);
	snprintf(r->dir, sizeof r->dir, "%s/millrace-rig-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(r->dir))
		mr_die("cannot make %s", r->dir);
	snprintf(r->socket, sizeof r->socket, "%s/fanout.sock", r->dir);
	build(r, bundle);
	install(r);
	r->loop = mr_loop_new();
	r->ring = mr_ring_create(RIG_LANES, 1 << 20, &r->ring_fd);
	r->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->listener = mr_link_listen(r->socket);
	if (!r->ring || r->bell < 0 || r->listener < 0)
		mr_die("cannot make ring, bell or socket");
	r->watch = mr_watch_new(r->loop, r->listener, MR_READ, on_connection, r);
}

void rig_fini(struct rig *r)
{
	for (int i = 0; i < r->n_workers; i++)
		if (r->workers[i].status < 0) {
			kill(r->workers[i].pid, SIGKILL);
			rig_wait_end(&r->workers[i]);
		}
	rig_reset(r);
	mr_watch_delete(&r->watch);
	close(r->listener);
	for (int i = 0; i < r->n_workers; i++)
		mr_link_delete(&r->workers[i].link);
	mr_loop_delete(&r->loop);
	mr_ring_delete(&r->ring);
	close(r->ring_fd);
	close(r->bell);
	mr_app_drop(&r->app);
	mr_buf_fini(&r->logs);
	mr_buf_fini(&r->slow);
	mr_arena_fini(&r->arena);
	PQfinish(r->db);
	mr_test_pg_fini(&r->pg);
	char *command = mr_printf("rm -rf '%s'", r->dir);
	if (system(command))
		mr_log(MR_WARN, "%s remains", r->dir);
	free(command);
}

/* ---- processes ---- */

static pid_t spawn(struct rig *r, char *const argv[], const char *const *env, int out, int err)
{
	pid_t pid = fork();
	if (pid < 0)
		mr_die("fork: %s", strerror(errno));
	if (pid)
		return pid;
	setenv("MILLRACE_DATABASE_URL", r->pg.conninfo, 1);
	setenv("MILLRACE_MODE", "development", 1);
	for (; env && *env; env++)
		putenv((char *)(uintptr_t)*env);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	if (err >= 0)
		dup2(err, STDERR_FILENO);
	execv(argv[0], argv);
	_exit(127);
}

int rig_manifest(struct rig *r, const char *path, struct mr_buf *out, struct mr_buf *err)
{
	char *out_path = mr_printf("%s/out", r->dir), *err_path = mr_printf("%s/err", r->dir);
	int out_fd = open(out_path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	int err_fd = open(err_path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	char *argv[] = {(char *)(uintptr_t)program(), "--manifest", (char *)(uintptr_t)path, NULL};
	int status;
	pid_t pid = spawn(r, argv, NULL, out_fd, err_fd);
	if (waitpid(pid, &status, 0) != pid)
		mr_die("waitpid: %s", strerror(errno));
	close(out_fd);
	close(err_fd);
	read_file(out_path, out);
	read_file(err_path, err);
	mr_buf_add(err, "", 0);
	free(out_path);
	free(err_path);
	return status;
}

struct rig_worker *rig_start(struct rig *r, const char *const *env)
{
	int lane = 0;
	while (lane < r->n_workers && r->workers[lane].status < 0)
		lane++;
	MR_ASSERT(lane < RIG_LANES);
	if (lane == r->n_workers)
		r->n_workers++;
	struct rig_worker *w = &r->workers[lane];
	*w = (struct rig_worker){.rig = r, .lane = lane, .status = -1};
	r->starting = w;
	char *argv[] = {(char *)(uintptr_t)program(), "--build", r->dir, "--fanout", r->socket, NULL};
	w->pid = spawn(r, argv, env, -1, -1);
	for (int64_t end = mr_mono_us() + 30000000; !w->ready; rig_turn(r, 50))
		if (mr_mono_us() > end || waitpid(w->pid, &w->status, WNOHANG) == w->pid)
			mr_die("the worker does not become ready");
	return w;
}

int rig_wait_end(struct rig_worker *w)
{
	for (int64_t end = mr_mono_us() + 30000000; w->status < 0; rig_turn(w->rig, 10)) {
		int status;
		if (waitpid(w->pid, &status, WNOHANG) == w->pid)
			w->status = status;
		else if (mr_mono_us() > end)
			mr_die("the worker does not end");
	}
	while (w->link)
		rig_turn(w->rig, 10);
	return w->status;
}

int rig_end(struct rig_worker *w)
{
	if (w->link)
		mr_link_send(w->link, MR_STR("{\"t\":\"drain\"}"));
	return rig_wait_end(w);
}

/* ---- questions ---- */

uint64_t rig_send(struct rig_worker *w, const char *fmt, ...)
{
	struct mr_buf b = {0};
	va_list ap;
	uint64_t n = ++w->rig->n;
	MR_ASSERT(n < RIG_ANSWERS);
	mr_buf_printf(&b, "{\"n\":%" PRIu64 ",", n);
	va_start(ap, fmt);
	mr_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	mr_buf_char(&b, '}');
	mr_link_send(w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
	return n;
}

#define FROZEN "\"seed\":\"abc\",\"now\":1750000000123"

uint64_t rig_query(struct rig_worker *w, const char *fn, const char *args)
{
	return rig_send(w, "\"t\":\"call\",\"kind\":\"query\",\"fn\":\"t.%s\",\"args\":%s,\"auth\":null," FROZEN, fn, args);
}

uint64_t rig_mutation(struct rig_worker *w, const char *fn, const char *args, const char *session, const char *call)
{
	return rig_send(w,
		"\"t\":\"call\",\"kind\":\"mutation\",\"fn\":\"t.%s\",\"args\":%s,\"auth\":null,\"session\":\"%s\",\"call\":\"%d.%s\","
		"\"hour\":%d," FROZEN,
		fn, args, session, mr_this_hour(), call, mr_this_hour());
}

uint64_t rig_entity(struct rig_worker *w, const char *act, const char *args, const char *user)
{
	char auth[96] = "null";
	if (user)
		snprintf(auth, sizeof auth, "{\"userId\":\"%s\"}", user);
	return rig_send(w, "\"t\":\"call\",\"kind\":\"entity\",\"fn\":\"%s\",\"args\":%s,\"auth\":%s," FROZEN, act, args, auth);
}

bool rig_has_answer(const struct rig *r, uint64_t n)
{
	return r->answers[n] != NULL;
}

const struct mr_node *rig_answer(struct rig *r, uint64_t n)
{
	for (int64_t end = mr_mono_us() + 30000000; !r->answers[n]; rig_turn(r, 50))
		if (mr_mono_us() > end)
			mr_die("no answer to %" PRIu64, n);
	struct mr_error err;
	return mr_json_read(&r->arena, mr_str(r->answers[n]), 1024, false, &err);
}

void rig_turn(struct rig *r, int ms)
{
	mr_loop_turn(r->loop, ms);
}

void rig_wait(struct rig *r, int ms)
{
	for (int64_t end = mr_mono_us() + ms * 1000LL; mr_mono_us() < end;)
		rig_turn(r, 5);
}

void rig_reset(struct rig *r)
{
	for (uint64_t i = 1; i <= r->n; i++) {
		free(r->answers[i]);
		r->answers[i] = NULL;
	}
	r->n = 0;
	mr_buf_reset(&r->logs);
	mr_arena_reset(&r->arena);
}
