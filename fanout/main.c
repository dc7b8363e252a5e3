/* millrace-fanout: owns every client connection. Started by the supervisor: --control PATH, settings in the environment. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "aside.h"
#include "hub.h"
#include "jobs.h"
#include "keys.h"
#include "numbers.h"
#include "proto/ground/log.h"
#include "rates.h"
#include "thread.h"
#include "ticks.h"
#include "workers.h"

static void on_signal(void *arg, int events)
{
	mr_hub_stop(arg);
}

static struct mr_watch *watch_signals(struct mr_hub *hub)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL); /* of all threads: they come later */
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return mr_watch_new(hub->loop, fd, MR_READ, on_signal, hub);
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

/* Else they would end before the time that they were made for. */
static void check_ages(const struct mr_settings *s)
{
	const struct {
		const char *name;
		int64_t ms;
	} times[] = {{"auth_session_time", s->auth_session_time}, {"auth_guest_time", s->auth_guest_time}};
	for (size_t i = 0; i < MR_COUNT(times); i++)
		if (s->auth_token_max_age && times[i].ms > s->auth_token_max_age)
			mr_die("%s is longer than auth_token_max_age, by which its tokens would be refused before their end: make it at "
			       "most "
			       "that long",
				times[i].name);
}

static void load_settings(struct mr_hub *hub, int *argc, char **argv)
{
	struct mr_error err;
	if (!mr_settings_load(&hub->settings, argc, argv, &err))
		mr_die("%s", err.message);
	mr_log_init("fanout", level_of(hub->settings.log_level));
	if (!mr_ip_ranges_read(&hub->proxies, mr_str(hub->settings.trusted_proxies), &err))
		mr_die("trusted_proxies: %s", err.message);
	check_ages(&hub->settings);
	hub->secret = mr_str(hub->settings.auth_secret);
	if (hub->secret.n < 32)
		mr_die("auth_secret must have at least 32 characters; the supervisor makes one when it is empty");
}

/* Threads come first, so that everything finds them; nothing runs before the loops do. */
static void open_all(struct mr_hub *hub, const char *control)
{
	struct mr_error err;
	hub->aside = mr_aside_new(hub->settings.fanout_threads == 1);
	hub->keys = mr_keys_new(hub);
	hub->rates = mr_rates_new(&hub->settings, &hub->counter[MR_C_RATE_LIMITED_TOTAL]);
	mr_threads_open(hub);
	hub->workers = mr_workers_new(hub, control, &err);
	if (!hub->workers)
		mr_die("%s", err.message);
	mr_workers_listen_bell(hub->workers, hub->n == 1 ? hub->threads[0]->net : NULL);
	hub->ticks = mr_ticks_new(hub, hub->settings.database_url);
	hub->workers->payloads = hub->ticks->payloads;
}

/* The threads have hung up on their clients. What they still asked of the hub is done, then the hub answers what they still wait for. */
static void close_all(struct mr_hub *hub)
{
	mr_aside_delete(&hub->aside);
	mr_keys_end(hub->keys);
	mr_loop_turn(hub->loop, 0);
	mr_ticks_end(hub->ticks);
	mr_jobs_delete_all(hub->workers);
	mr_threads_close(hub);
	mr_loop_turn(hub->loop, 0);
	mr_ticks_delete(&hub->ticks);
	mr_workers_delete(&hub->workers);
	mr_numbers_delete(&hub->numbers);
	mr_keys_delete(&hub->keys);
	mr_rates_delete(&hub->rates);
	mr_ip_ranges_fini(&hub->proxies);
	mr_app_drop(&hub->app);
}

int main(int argc, char **argv)
{
	struct mr_hub *hub = mr_alloc(sizeof *hub);
	load_settings(hub, &argc, argv);
	const char *control = control_path(argc, argv);
	raise_open_files();
	hub->loop = mr_loop_new();
	hub->numbers = mr_numbers_new(hub->settings.fanout_threads == 1);
	struct mr_watch *signals = watch_signals(hub);
	open_all(hub, control);
	mr_threads_run(hub);
	close_all(hub);
	mr_watch_delete(&signals);
	mr_loop_delete(&hub->loop);
	free(hub);
	return 0;
}
