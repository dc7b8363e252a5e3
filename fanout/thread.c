#include "thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "api.h"
#include "clock.h"
#include "instance.h"
#include "keys.h"
#include "proto/ground/log.h"
#include "revoked.h"
#include "session.h"
#include "tasks.h"

/* What waits for a client that asks without reading the answers: this many times what makes it behind, then it is not heard. */
enum { UNREAD_TIMES = 64 };

bool mr_fanout_ready(const struct mr_fanout *f, const char **why)
{
	*why = f->stopping                              ? "The server is stopping."
	       : !f->app                                ? "The app is not loaded yet."
	       : !mr_hub_count(f->hub, MR_C_WORKERS)    ? "No worker is ready."
	       : !f->clock->n || f->hub->ticks->failing ? "Postgres does not answer."
							: NULL;
	return !*why;
}

/* --- open --- */

static bool on_handled(void *arg)
{
	return mr_sessions_settle(((struct mr_fanout *)arg)->sessions);
}

/* Where one thread does all, the next tick waits for what the last one has to tell: so it finds what was committed meanwhile. */
static void on_written(void *arg)
{
	mr_ticks_written(((struct mr_fanout *)arg)->hub->ticks);
}

static struct mr_net *open_net(struct mr_fanout *f)
{
	const struct mr_settings *s = &f->settings;
	struct mr_hub *hub = f->hub;
	struct mr_error err;
	struct mr_net_config config = {
		.listen = s->listen,
		.port = f->index ? hub->port : (int)s->port,
		.sharing = hub->n == 1 ? MR_NET_ALONE
			   : f->index  ? MR_NET_SHARES
				       : MR_NET_SHARES_FIRST,
		.tls_certificate = s->tls_certificate,
		.tls_key = s->tls_key,
		.max_frame = (size_t)s->max_frame,
		.max_body = (size_t)s->http_max_body,
		.compress = s->compression,
		.max_connections = (int)s->max_connections,
		.connections = &hub->connections,
		.unread_most = UNREAD_TIMES * (size_t)s->send_buffer,
		.rates = hub->rates,
		.proxies = hub->proxies,
		.proxy_header = strcmp(s->proxy_header, "forwarded") == 0 ? MR_FORWARDED : MR_X_FORWARDED_FOR,
		.ping_interval_ms = s->ping_interval,
		.ws_open = mr_session_open,
		.ws_message = mr_session_message,
		.ws_drained = mr_session_drained,
		.ws_closed = mr_session_closed,
		.request = mr_api_request,
		.handled = on_handled,
		.written = hub->n == 1 ? on_written : NULL,
		.arg = f,
	};
	struct mr_net *net = mr_net_new(f->loop, &config, &err);
	if (!net)
		mr_die("%s", err.message);
	return net;
}

static struct mr_fanout *open_one(struct mr_hub *hub, size_t index)
{
	struct mr_fanout *f = mr_alloc(sizeof *f);
	f->hub = hub;
	f->index = index;
	f->settings = hub->settings;
	f->secret = hub->secret;
	f->keyring = mr_keyring_hold(hub->keyring);
	f->rates = hub->rates;
	f->loop = hub->n == 1 ? hub->loop : mr_loop_new();
	f->tasks = mr_tasks_new(f);
	f->clock = mr_clock_new(f);
	f->instances = mr_instances_new(f);
	f->sessions = mr_sessions_new(f);
	f->revoked = mr_revoked_new(f);
	f->net = open_net(f);
	hub->port = mr_net_port(f->net);
	return f;
}

void mr_threads_open(struct mr_hub *hub)
{
	hub->n = (size_t)hub->settings.fanout_threads;
	hub->threads = mr_alloc(hub->n * sizeof(struct mr_fanout *));
	for (size_t i = 0; i < hub->n; i++)
		hub->threads[i] = open_one(hub, i);
}

/* --- run --- */

/* Sessions end with their sockets, live queries with their sessions. */
static void *serve(void *arg)
{
	struct mr_fanout *f = arg;
	mr_net_run(f->net);
	mr_net_delete(&f->net);
	return NULL;
}

static void name_thread(pthread_t thread, size_t index)
{
	char name[16];
	snprintf(name, sizeof name, "fanout-%zu", index);
	pthread_setname_np(thread, name);
}

static void start(pthread_t *thread, struct mr_fanout *f)
{
	if (pthread_create(thread, NULL, serve, f) != 0)
		mr_die("thread %zu of %zu cannot be started (fanout_threads)", f->index + 1, f->hub->n);
	name_thread(*thread, f->index);
}

void mr_threads_run(struct mr_hub *hub)
{
	if (hub->n == 1) {
		serve(hub->threads[0]);
		return;
	}
	pthread_t *threads = mr_alloc(hub->n * sizeof *threads);
	for (size_t i = 0; i < hub->n; i++)
		start(&threads[i], hub->threads[i]);
	mr_loop_run(hub->loop);
	for (size_t i = 0; i < hub->n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

/* --- close --- */

static void close_one(struct mr_fanout *f)
{
	mr_loop_turn(f->loop, 0);
	mr_tasks_delete(&f->tasks);
	mr_revoked_delete(&f->revoked);
	mr_sessions_delete(&f->sessions);
	mr_instances_delete(&f->instances);
	mr_clock_delete(&f->clock);
	mr_app_drop(&f->app);
	free(f->app_dir);
	mr_keyring_drop(&f->keyring);
	if (f->loop != f->hub->loop)
		mr_loop_delete(&f->loop);
	free(f);
}

void mr_threads_close(struct mr_hub *hub)
{
	for (size_t i = 0; i < hub->n; i++)
		close_one(hub->threads[i]);
	free(hub->threads);
	hub->threads = NULL;
	hub->n = 0;
}
