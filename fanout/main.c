/* millrace-fanout: owns every client connection. Started by the supervisor: --control PATH, settings in the environment. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api.h"
#include "clock.h"
#include "instance.h"
#include "proto/ground/log.h"
#include "session.h"
#include "workers.h"

/* What waits for a client that asks without reading the answers: this many times what makes it behind, then it is not heard. */
enum { UNREAD_TIMES = 64 };

void mr_fanout_stop(struct mr_fanout *f)
{
	if (f->stopping)
		return;
	f->stopping = true;
	mr_net_stop(f->net);
}

bool mr_fanout_ready(const struct mr_fanout *f, const char **why)
{
	*why = f->stopping                 ? "The server is stopping."
	       : !f->app                   ? "The app is not loaded yet."
	       : !f->counter[MR_C_WORKERS] ? "No worker is ready."
	       : !mr_clock_runs(f->clock)  ? "Postgres does not answer."
					   : NULL;
	return !*why;
}

static void on_signal(void *arg, int events)
{
	mr_fanout_stop(arg);
}

static struct mr_watch *watch_signals(struct mr_fanout *f)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return mr_watch_new(f->loop, fd, MR_READ, on_signal, f);
}

static void raise_open_files(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static enum mr_level level_of(const char *name)
{
	static const char *const names[] = {[MR_ERROR] = "error", [MR_WARN] = "warn", [MR_INFO] = "info", [MR_DEBUG] = "debug"};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (strcmp(names[i], name) == 0)
			return (enum mr_level)i;
	return MR_INFO;
}

static const char *control_path(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--control") == 0)
		return argv[2];
	fprintf(stderr, "usage: millrace-fanout --control PATH   (started by millrace serve or dev)\n");
	exit(2);
}

static struct mr_net *open_net(struct mr_fanout *f)
{
	const struct mr_settings *s = &f->settings;
	struct mr_error err;
	struct mr_net_config config = {
		.listen = s->listen,
		.port = (int)s->port,
		.max_frame = (size_t)s->max_frame,
		.max_connections = (int)s->max_connections,
		.unread_most = UNREAD_TIMES * (size_t)s->send_buffer,
		.ping_interval_ms = s->ping_interval,
		.ws_open = mr_session_open,
		.ws_message = mr_session_message,
		.ws_drained = mr_session_drained,
		.ws_closed = mr_session_closed,
		.request = mr_api_request,
		.arg = f,
	};
	struct mr_net *net = mr_net_new(f->loop, &config, &err);
	if (!net)
		mr_die("%s", err.message);
	return net;
}

/* Sessions end with their sockets, instances with their subscriptions; the rest goes in the reverse order of its making. */
static void close_all(struct mr_fanout *f)
{
	mr_tasks_delete_all(f->workers);
	mr_net_delete(&f->net);
	mr_sessions_delete(&f->sessions);
	mr_instances_delete(&f->instances);
	mr_clock_delete(&f->clock);
	mr_workers_delete(&f->workers);
	mr_app_drop(&f->app);
	free(f->app_dir);
}

int main(int argc, char **argv)
{
	struct mr_fanout f = {0};
	struct mr_error err;
	if (!mr_settings_load(&f.settings, &argc, argv, &err))
		mr_die("%s", err.message);
	mr_log_init("fanout", level_of(f.settings.log_level));
	const char *control = control_path(argc, argv);
	raise_open_files();
	f.secret = mr_str(f.settings.auth_secret);
	if (f.secret.n < 32)
		mr_die("auth_secret must have at least 32 characters; the supervisor makes one when it is empty");
	f.loop = mr_loop_new();
	struct mr_watch *signals = watch_signals(&f);
	f.instances = mr_instances_new(&f);
	f.sessions = mr_sessions_new(&f);
	f.net = open_net(&f);
	f.workers = mr_workers_new(&f, control, &err);
	if (!f.workers)
		mr_die("%s", err.message);
	mr_workers_listen_bell(f.workers);
	f.clock = mr_clock_new(&f, f.settings.database_url);
	f.workers->payloads = f.clock->payloads;
	mr_net_run(f.net);
	close_all(&f);
	mr_watch_delete(&signals);
	mr_loop_delete(&f.loop);
	return 0;
}
