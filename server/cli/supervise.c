/* The supervisor: `millrace dev` and `millrace serve`. Starts Postgres, the fanout and the workers, keeps them alive, ends them in order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "code.h"
#include "database.h"
#include "files.h"
#include "job.h"
#include "proto/ground/log.h"
#include "secret.h"
#include "watch.h"

enum {
	WORKERS_END_MS = 700,
	FANOUT_END_MS = 600,
	LEAVE_MARGIN_US = 5000000,
	RETAIN_FIRST_US = 30000000,
	RETAIN_EVERY_US = 600000000,
	RETAIN_AGAIN_US = 60000000,
	RETAIN_SAID_EVERY = 30, /* of what it waits for */
	POSTGRES_PAUSE_LEAST_US = 100000,
	POSTGRES_PAUSE_MOST_US = 5000000,
};

struct supervisor {
	struct mr_cli *cli;
	struct mr_settings *settings;
	bool development;
	int lock, status;
	struct mr_place place;
	struct mr_loop *loop;
	struct mr_children children;
	struct mr_crews crews;
	struct mr_database db;
	struct mr_edge *edge;
	struct mr_app_code *code;
	struct mr_sources *sources;
	struct mr_watch *signals;
	struct mr_job *retain;
	int retain_waits;
	struct mr_timer *retain_timer, *postgres_timer;
	int64_t postgres_pause;
	char *socket;
	int port;
};

/* --- signals: handlers only count and ring; the loop does the work --- */

static volatile sig_atomic_t stops;           /* how often we were asked to stop */
static volatile sig_atomic_t postgres_at_end; /* its pid: ended hard by a second Ctrl-C (the others go with us by themselves) */
static int bell[2] = {-1, -1};

static void on_signal(int sig)
{
	int e = errno;
	if (sig != SIGCHLD && ++stops > 1) {
		if (postgres_at_end)
			kill(postgres_at_end, SIGQUIT);
		_exit(130);
	}
	if (write(bell[1], "", 1) < 0) {
		/* full: it rings already */
	}
	errno = e;
}

static void install_signals(void)
{
	static const int signals[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};
	if (pipe2(bell, O_CLOEXEC | O_NONBLOCK) != 0)
		mr_die("no pipe can be opened: %s", strerror(errno));
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
		sigaction(signals[i], &sa, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* --- Postgres --- */

static void say_database(struct supervisor *s)
{
	s->settings->database_url = mr_strdup(s->db.conninfo.p);
	mr_settings_export(s->settings);
	mr_code_database(s->code, s->db.conninfo.p);
	postgres_at_end = s->db.cluster ? mr_cluster_pid(s->db.cluster) : 0;
}

static void restart_postgres(void *arg)
{
	struct supervisor *s = arg;
	struct mr_error err;
	struct mr_settings own = *s->settings;
	own.database_url = ""; /* it names the private one by now */
	mr_database_close(&s->db, &own);
	if (mr_database_open(&s->db, &own, &err)) {
		mr_log(MR_INFO, "Postgres runs again");
		say_database(s);
		return;
	}
	s->postgres_pause = s->postgres_pause * 2 > POSTGRES_PAUSE_MOST_US ? POSTGRES_PAUSE_MOST_US : s->postgres_pause * 2;
	mr_log(MR_ERROR, "Postgres does not start (next try in %.1f s): %s", (double)s->postgres_pause / 1e6, err.message);
	mr_timer_start(s->postgres_timer, s->postgres_pause);
}

/* Looks without collecting: the cluster's own code does that. */
static void check_postgres(struct supervisor *s)
{
	siginfo_t info = {0};
	if (!s->db.cluster || mr_timer_running(s->postgres_timer))
		return;
	pid_t pid = mr_cluster_pid(s->db.cluster);
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != pid)
		return;
	postgres_at_end = 0;
	s->postgres_pause = POSTGRES_PAUSE_LEAST_US;
	mr_log(MR_ERROR, "Postgres ended (%s %d); it starts again", info.si_code == CLD_EXITED ? "exit code" : "signal", info.si_status);
	mr_timer_start(s->postgres_timer, s->postgres_pause);
}

static bool work_retain(struct mr_buf *out, void *arg)
{
	struct supervisor *s = arg;
	struct mr_error err;
	if (mr_log_retain(s->db.conninfo.p, &err))
		return true;
	mr_buf_z(out, err.message);
	return false;
}

static void retain_done(bool ok, struct mr_str out, void *arg)
{
	struct supervisor *s = arg;
	mr_timer_start(s->retain_timer, ok ? RETAIN_EVERY_US : RETAIN_AGAIN_US);
	s->retain_waits = ok ? 0 : s->retain_waits + 1;
	if (s->retain_waits % RETAIN_SAID_EVERY == 2)
		mr_log(MR_WARN, "%.*s (next try in %d s)", (int)out.n, out.n ? out.p : "", RETAIN_AGAIN_US / 1000000);
}

static void on_retain(void *arg)
{
	struct supervisor *s = arg;
	mr_timer_start(s->retain_timer, RETAIN_EVERY_US); /* also when this one hangs */
	mr_job_start(s->retain, work_retain, retain_done, s);
}

/* --- what the others tell --- */

static void finish(struct supervisor *s, int status)
{
	s->status = status;
	mr_loop_stop(s->loop);
}

static void on_bell(void *arg, int events)
{
	struct supervisor *s = arg;
	char buf[64];
	while (read(bell[0], buf, sizeof buf) > 0)
		;
	if (stops) {
		finish(s, MR_EXIT_OK);
		return;
	}
	mr_children_reap(&s->children);
	check_postgres(s);
}

static void on_up(int port, void *arg)
{
	struct supervisor *s = arg;
	s->port = port;
	if (s->settings->port != port) {
		/* A free port was taken; after a crash of the fanout it must be the same one. */
		s->settings->port = port;
		mr_settings_export(s->settings);
	}
	mr_code_edge_up(s->code);
}

static void on_serves(struct mr_str version, void *arg)
{
	struct supervisor *s = arg;
	mr_code_serves(s->code, version);
}

static void on_refused(struct mr_str version, struct mr_str sentence, void *arg)
{
	struct supervisor *s = arg;
	mr_code_refused(s->code, version, sentence);
}

static void on_edge_failed(void *arg)
{
	struct supervisor *s = arg;
	mr_cli_fail(0, "The fanout ended before it listened; its own message is above.");
	finish(s, MR_EXIT_FAILED);
}

static void on_hopeless(struct mr_crew *crew, void *arg)
{
	struct supervisor *s = arg;
	if (!mr_edge_is_up(s->edge))
		return; /* they end because there is nobody to talk to */
	char *version = mr_strdup(crew->build.version);
	mr_code_refused(s->code, mr_str(version),
		MR_STR("The workers of the new code keep ending before they are ready; their messages are above."));
	free(version);
}

static void on_sources(int changed, void *arg)
{
	struct supervisor *s = arg;
	mr_code_change(s->code, changed);
}

static const char *app_name(const struct mr_settings *settings)
{
	const char *slash = strrchr(settings->app_dir, '/');
	return slash && slash[1] ? slash + 1 : settings->app_dir;
}

static void on_first(void *arg)
{
	struct supervisor *s = arg;
	const char *listen = s->settings->listen;
	static const char *const local[] = {"127.0.0.1", "0.0.0.0", "::1", "::", "localhost"};
	for (size_t i = 0; i < sizeof local / sizeof *local; i++)
		if (strcmp(listen, local[i]) == 0)
			listen = "localhost";
	bool six = strchr(listen, ':') != NULL;
	printf("Millrace serves %s at http%s://%s%s%s:%d/\n", app_name(s->settings), *s->settings->tls_certificate ? "s" : "",
		six ? "[" : "", listen, six ? "]" : "", s->port);
	fflush(stdout);
}

static void on_code_failed(int status, struct mr_str text, void *arg)
{
	struct supervisor *s = arg;
	if (status == MR_EXIT_PENDING) {
		mr_cli_fail(0, "The database lacks the changes above; look at them and run `millrace migrate --apply`.");
		finish(s, status);
	} else if (s->development && status != MR_EXIT_NO_DATABASE) {
		mr_log(MR_INFO, "nothing is served yet; correct the app and save; it is tried again now and then besides");
	} else {
		mr_cli_fail(0, "The app cannot be served; the reason is above.");
		finish(s, MR_EXIT_FAILED);
	}
}

/* --- start --- */

/* Tells a taken port in a sentence before anything is started. */
static bool check_port(const struct mr_settings *settings, struct mr_error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
	char port[16];
	snprintf(port, sizeof port, "%d", (int)settings->port);
	int e = getaddrinfo(settings->listen, port, &hints, &list);
	if (e)
		return mr_fail(err, MR_BAD_VALUE, "The address %s cannot be listened on: %s.", settings->listen, gai_strerror(e));
	int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		  bind(fd, list->ai_addr, list->ai_addrlen) == 0 && listen(fd, 1) == 0;
	e = errno;
	freeaddrinfo(list);
	if (fd >= 0)
		close(fd);
	if (ok)
		return true;
	if (e == EADDRINUSE)
		return mr_fail(err, MR_BAD_VALUE, "Port %s is taken by another program; stop that one, or give another with --port.", port);
	if (e == EACCES)
		return mr_fail(err, MR_BAD_VALUE, "Port %s is for root only; give one above 1023 with --port.", port);
	return mr_fail(err, MR_BAD_VALUE, "Millrace cannot listen on %s, port %s: %s.", settings->listen, port, strerror(e));
}

/* Everything that may refuse before there are processes. */
static bool prepare(struct supervisor *s, struct mr_error *err)
{
	struct mr_buf secret = {0};
	char *app = mr_printf("%s/app.ts", s->settings->app_dir);
	bool there = mr_path_exists(app);
	free(app);
	if (!there)
		return mr_fail(err, MR_NOT_FOUND, "There is no app.ts in %s; give the folder of the app with --app-dir DIR.",
			s->settings->app_dir);
	if (!mr_place_find(&s->place, s->settings->app_dir, err))
		return false;
	if (!s->place.fanout)
		return mr_fail(err, MR_INTERNAL,
			"millrace-fanout is not installed beside this program; set MILLRACE_LIBEXEC to its folder or install Millrace "
			"anew.");
	bool ok = (s->lock = mr_data_dir_lock(s->settings, err)) >= 0 && check_port(s->settings, err) &&
		  mr_secret_get(s->settings, &secret, err);
	if (ok) {
		s->settings->auth_secret = mr_strdup(secret.p);
		s->socket = mr_printf("%s/run/fanout.sock", s->settings->data_dir);
	}
	mr_buf_fini(&secret);
	return ok;
}

static int worker_count(const struct mr_settings *settings)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return settings->workers ? (int)settings->workers : cores > 0 ? (int)cores : 1;
}

static void make_parts(struct supervisor *s)
{
	const struct mr_edge_events events = {on_up, on_serves, on_refused, on_edge_failed, s};
	mr_children_init(&s->children, s->loop);
	mr_crews_init(&s->crews, &s->children, s->place.worker, s->socket, s->settings->call_time_limit * 1000 + LEAVE_MARGIN_US);
	s->crews.on_hopeless = on_hopeless;
	s->crews.arg = s;
	const struct mr_code_config code = {
		.loop = s->loop,
		.settings = s->settings,
		.place = &s->place,
		.crews = &s->crews,
		.development = s->development,
		.workers = worker_count(s->settings),
		.first = on_first,
		.failed = on_code_failed,
		.arg = s,
	};
	s->code = mr_code_new(&code);
	s->edge = mr_edge_new(&s->children, s->place.fanout, s->socket, &events);
	mr_code_edge(s->code, s->edge);
	s->signals = mr_watch_new(s->loop, bell[0], MR_READ, on_bell, s);
	s->retain = mr_job_new(s->loop, "cutting the change log");
	s->retain_timer = mr_timer_new(s->loop, on_retain, s);
	s->postgres_timer = mr_timer_new(s->loop, restart_postgres, s);
}

static bool start(struct supervisor *s, struct mr_error *err)
{
	if (!*s->settings->database_url && !mr_path_exists(s->settings->data_dir))
		mr_log(MR_INFO, "making a private Postgres in %s/pg", s->settings->data_dir);
	if (!mr_database_open(&s->db, s->settings, err))
		return false;
	if (stops)
		return true;
	say_database(s);
	if (s->development) {
		s->sources = mr_sources_new(s->loop, s->settings->app_dir, s->settings->data_dir, on_sources, s, err);
		if (!s->sources)
			return false;
	}
	mr_edge_start(s->edge);
	mr_code_change(s->code, MR_CHANGED_CODE | MR_CHANGED_WEB);
	mr_timer_start(s->retain_timer, RETAIN_FIRST_US);
	return true;
}

/* --- end: workers, fanout, Postgres --- */

static void delete_crews(struct supervisor *s)
{
	MR_LIST_FOR (e, &s->crews.all)
		mr_crew_leave(MR_CONTAINER(e, struct mr_crew, in_all), true);
}

static void stop(struct supervisor *s)
{
	mr_sources_delete(&s->sources);
	mr_timer_delete(&s->retain_timer);
	mr_timer_delete(&s->postgres_timer);
	mr_job_delete(&s->retain);
	mr_code_delete(&s->code);
	mr_children_end(&s->children, "worker", SIGTERM, WORKERS_END_MS);
	delete_crews(s);
	mr_edge_stop(s->edge);
	mr_children_end(&s->children, NULL, SIGTERM, FANOUT_END_MS);
	mr_edge_delete(&s->edge);
	mr_watch_delete(&s->signals);
	mr_database_close(&s->db, s->settings);
	postgres_at_end = 0;
}

static int supervise(struct mr_cli *cli, bool development)
{
	struct mr_error err;
	struct supervisor s = {.cli = cli, .settings = &cli->settings, .development = development, .lock = -1, .status = MR_EXIT_FAILED};
	if (!mr_cli_no_more(cli))
		return MR_EXIT_USAGE;
	install_signals();
	if (!prepare(&s, &err))
		return mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	s.loop = mr_loop_new();
	make_parts(&s);
	if (start(&s, &err) && !stops)
		mr_loop_run(s.loop);
	else if (!stops)
		mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	else
		s.status = MR_EXIT_OK;
	stop(&s);
	mr_loop_delete(&s.loop);
	mr_place_fini(&s.place);
	free(s.socket);
	close(s.lock);
	return s.status;
}

int mr_cmd_dev(struct mr_cli *cli)
{
	cli->settings.mode = "development";
	return supervise(cli, true);
}

int mr_cmd_serve(struct mr_cli *cli)
{
	return supervise(cli, false);
}
