#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "choice.h"
#include "jobs.h"
#include "lost.h"
#include "proto/ground/fault.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "proto/policy.h"
#include "session.h"
#include "switch.h"
#include "ticks.h"

enum { LANES = 64, JANITOR_US = 200 * 1000, MANIFEST_MAX = 64 << 20, FRAME_DEPTH = 5000 };

/* --- the serving version --- */

static void drain(struct mr_worker *w)
{
	if (w->draining)
		return;
	w->draining = true;
	mr_link_send(w->link, MR_STR("{\"t\":\"drain\"}"));
}

static void tell_supervisor(struct mr_workers *all, const char *t, struct mr_str version, const struct mr_error *err)
{
	struct mr_buf b = {0};
	mr_buf_printf(&b, "{\"t\":\"%s\",\"version\":", t);
	mr_json_quote(&b, version);
	if (err) {
		mr_buf_z(&b, ",\"error\":");
		mr_json_quote(&b, mr_str(err->message));
	}
	mr_buf_char(&b, '}');
	if (all->supervisor)
		mr_link_send(all->supervisor, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static int64_t count_ready(const struct mr_workers *all, const struct mr_app *app)
{
	int64_t n = 0;
	MR_LIST_FOR (e, &all->workers) {
		const struct mr_worker *w = MR_CONTAINER(e, struct mr_worker, in_workers);
		n += w->ready && !w->draining && mr_str_is(app->version, w->version);
	}
	return n;
}

static void on_switched(void *arg)
{
	struct mr_workers *all = arg;
	if (--all->switching == 0)
		tell_supervisor(all, "app_serves", all->hub->app->version, NULL);
}

/* From this moment on calls run on the new code and live queries are those of the new declarations; old workers finish what they have. */
static void take_over(struct mr_workers *all)
{
	struct mr_hub *hub = all->hub;
	struct mr_app *old = hub->app;
	hub->app = all->next;
	all->next = NULL;
	all->crew = all->next_workers;
	mr_slow_forget(all->slow);
	mr_log(MR_INFO, "app %s serves", hub->app->version.p);
	all->switching += hub->n;
	mr_ticks_app(hub->ticks);
	mr_switch_all(hub, all->next_dir, on_switched, all);
	MR_LIST_FOR (e, &all->workers) {
		struct mr_worker *w = MR_CONTAINER(e, struct mr_worker, in_workers);
		if (w->lane >= 0 && w->ready && !mr_str_is(hub->app->version, w->version))
			drain(w);
	}
	mr_app_drop(&old);
	free(all->next_dir);
	all->next_dir = NULL;
	mr_jobs_dispatch(all);
	mr_ticks_want(hub->ticks);
}

static void consider(struct mr_workers *all)
{
	if (all->next && count_ready(all, all->next) >= all->next_workers)
		take_over(all);
	else
		mr_jobs_dispatch(all);
}

static bool read_file(const char *path, struct mr_buf *out, struct mr_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;
	while (fd >= 0 && n > 0 && out->n < MANIFEST_MAX) {
		n = read(fd, mr_buf_room(out, 65536), 65536);
		out->n += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	return (fd >= 0 && n == 0) || mr_fail(err, MR_INTERNAL, "Cannot read %s: %s.", path, strerror(errno));
}

static bool check_policies(const struct mr_app *app, struct mr_error *err)
{
	for (size_t i = 0; i < app->n_entities; i++)
		for (int act = 0; act < MR_ACTS; act++)
			if (app->entities[i].policy[act].n && !mr_policy_check(&app->entities[i], app->entities[i].policy[act], err))
				return false;
	return true;
}

static struct mr_app *load_app(const char *dir, struct mr_error *err)
{
	char *path = mr_printf("%s/manifest.json", dir);
	struct mr_buf text = {0};
	struct mr_app *app = read_file(path, &text, err) ? mr_app_read(mr_buf_view(&text), err) : NULL;
	if (app && !check_policies(app, err))
		mr_app_drop(&app);
	mr_buf_fini(&text);
	free(path);
	return app;
}

static void on_app(struct mr_workers *all, const struct mr_node *m)
{
	struct mr_str dir = mr_node_str(m, "dir"), version = mr_node_str(m, "version");
	struct mr_error err;
	char *path = mr_strndup(dir.p, dir.n);
	struct mr_app *app = load_app(path, &err);
	if (!app) {
		free(path);
		tell_supervisor(all, "app_refused", version, &err);
		return;
	}
	if (all->hub->app && mr_str_eq(all->hub->app->version, app->version)) {
		mr_app_drop(&app);
		free(path);
		tell_supervisor(all, "app_serves", version, NULL);
		return;
	}
	mr_app_drop(&all->next);
	free(all->next_dir);
	all->next = app;
	all->next_dir = path;
	all->next_workers = 1;
	mr_node_int(mr_node_get(m, "workers"), &all->next_workers);
	consider(all);
}

/* --- peers --- */

/* What it published before it died may be committed all the same: the log says. */
static void leave_lane(struct mr_worker *w)
{
	struct mr_workers *all = w->all;
	mr_workers_read_ring(all, all->payloads);
	all->hub->counter[MR_C_RING_UNBLOCKED_TOTAL] += (int64_t)mr_payloads_unblock(all->payloads, all->ring, w->lane);
	all->lane_used[w->lane] = false;
	w->lane = -1;
}

static void count_workers(struct mr_workers *all)
{
	int64_t n = 0;
	MR_LIST_FOR (e, &all->workers)
		n += MR_CONTAINER(e, struct mr_worker, in_workers)->ready;
	all->hub->counter[MR_C_WORKERS] = n;
}

static void on_peer_gone(struct mr_worker *w)
{
	struct mr_workers *all = w->all;
	uint64_t running = 0;
	enum mr_reason reason = MR_REASON_NONE;
	if (all->supervisor == w->link)
		all->supervisor = NULL;
	if (all->kept == w)
		all->kept = NULL;
	if (all->told == w)
		all->told = NULL;
	mr_list_del(&w->in_workers);
	if (w->lane >= 0) {
		mr_ring_last(all->ring, w->lane, &running, &reason);
		if (!w->draining && w->ready) {
			all->hub->counter[MR_C_WORKER_DEATHS_TOTAL]++;
			mr_log(w->n_jobs ? MR_WARN : MR_DEBUG, "worker %d (pid %d) is gone with %zu jobs", w->lane, w->pid, w->n_jobs);
		}
		leave_lane(w);
	}
	mr_jobs_orphaned(w, running, reason);
	mr_workers_slow_scheduled(all, w->version, running, reason);
	mr_workers_tell_kept(all); /* before it hears that what the dead one held is anybody's */
	mr_lost_add(w);
	mr_link_delete(&w->link);
	free(w->version);
	free(w);
	count_workers(all);
	mr_lost_tell(all);
	mr_jobs_dispatch(all);
	mr_ticks_want(all->hub->ticks);
}

bool mr_worker_is_dead(pid_t process)
{
	if (process <= 0)
		return true;
	/* A process that nobody has waited for is dead as well: this tells, kill does not. */
	int fd = (int)syscall(SYS_pidfd_open, process, 0);
	if (fd < 0)
		return kill(process, 0) != 0 && errno == ESRCH;
	struct pollfd end = {.fd = fd, .events = POLLIN};
	bool ended = poll(&end, 1, 0) == 1;
	close(fd);
	return ended;
}

/* Nobody writes to the lane any more. That its link broke is not enough: a process that lives on (stopped, or in the middle of a record)
 * would spoil what the next one writes (GIVEN_EARLY in proto/ring.pml). Where the kernel knows no process, the link's end must do. */
static bool is_free(const struct mr_workers *all, int lane)
{
	return !all->lane_used[lane] && mr_worker_is_dead(all->lane_process[lane]);
}

static int find_lane(const struct mr_workers *all)
{
	for (int i = 0; i < all->lanes; i++)
		if (is_free(all, i))
			return i;
	return -1;
}

static void welcome_worker(struct mr_worker *w, const struct mr_node *m)
{
	struct mr_workers *all = w->all;
	int64_t pid = 0, protocol = 0;
	struct mr_str version = mr_node_str(m, "app");
	mr_node_int(mr_node_get(m, "pid"), &pid);
	mr_node_int(mr_node_get(m, "protocol"), &protocol);
	int lane = find_lane(all);
	if (protocol != MR_LINK_PROTOCOL || lane < 0) {
		mr_log(MR_ERROR, "worker of pid %d is refused: %s", (int)pid,
			lane < 0 ? "no lane of the ring is free" : "it is of another release");
		drain(w);
		return;
	}
	w->lane = lane;
	w->pid = (int)pid;
	w->version = mr_strndup(version.p, version.n);
	all->lane_used[lane] = true;
	all->lane_process[lane] = w->process;
	mr_ring_reset_lane(all->ring, lane);
	MR_FAULT(FANOUT_LANE_GIVEN);
	struct mr_buf origin = {0}, b = {0};
	mr_hex(&origin, (struct mr_str){(const char *)all->origin, sizeof all->origin});
	mr_buf_printf(&b, "{\"t\":\"welcome\",\"lane\":%d,\"origin\":\"%s\"}", lane, origin.p);
	int fds[] = {all->ring_fd, all->bell};
	mr_link_send_fds(w->link, mr_buf_view(&b), fds, 2);
	mr_buf_fini(&origin);
	mr_buf_fini(&b);
}

static void welcome_supervisor(struct mr_worker *w)
{
	struct mr_workers *all = w->all;
	char text[64];
	int n = snprintf(text, sizeof text, "{\"t\":\"welcome\",\"port\":%d}", all->hub->port);
	all->supervisor = w->link;
	mr_link_send(w->link, (struct mr_str){text, (size_t)n});
}

static void on_ready(struct mr_worker *w, struct mr_str holder)
{
	uint8_t uuid[16];
	w->ready = true;
	if (mr_uuid_read(holder, uuid))
		memcpy(w->holder, holder.p, holder.n);
	count_workers(w->all);
	mr_lost_tell(w->all);
	consider(w->all);
}

static void on_slow(struct mr_worker *w, const struct mr_node *m)
{
	int64_t ms = 0;
	mr_node_int(mr_node_get(m, "ms"), &ms);
	if (mr_worker_serves(w))
		mr_workers_slow_slice(w->all, mr_node_str(m, "fn"), ms, mr_node_truth(m, "ended"));
}

static void count_jobs(struct mr_hub *hub, const struct mr_node *m)
{
	static const struct {
		const char *name;
		int counter;
	} counts[] = {{"done", MR_C_JOBS_DONE_TOTAL}, {"failed", MR_C_JOBS_FAILED_TOTAL}, {"late", MR_C_JOBS_LATE_TOTAL}};
	for (size_t i = 0; i < MR_COUNT(counts); i++) {
		int64_t n = 0;
		mr_node_int(mr_node_get(m, counts[i].name), &n);
		hub->counter[counts[i].counter] += n;
	}
}

/* What the developer's tools say, for each thread to tell its clients. */
struct dev {
	struct mr_fanout *f;
	struct mr_arena arena;
	struct mr_str text;
};

static void *make_dev(struct mr_fanout *f, const void *from)
{
	struct dev *d = mr_alloc(sizeof *d);
	d->f = f;
	d->text = mr_arena_str(&d->arena, *(const struct mr_str *)from);
	return d;
}

static void on_dev(void *arg)
{
	struct dev *d = arg;
	struct mr_error err;
	mr_sessions_dev(d->f->sessions, mr_json_read(&d->arena, d->text, FRAME_DEPTH, false, &err));
	mr_sessions_advance(d->f->sessions);
	mr_arena_fini(&d->arena);
	free(d);
}

static void handle(struct mr_worker *w, struct mr_str text, const struct mr_node *m)
{
	struct mr_workers *all = w->all;
	struct mr_str t = mr_node_str(m, "t");
	int64_t n = 0;
	mr_node_int(mr_node_get(m, "n"), &n);
	if (mr_str_is(t, "log"))
		mr_jobs_console(w, (uint64_t)n, text);
	else if (mr_str_is(t, "ready"))
		on_ready(w, mr_node_str(m, "holder"));
	else if (mr_str_is(t, "slow"))
		on_slow(w, m);
	else if (mr_str_is(t, "jobs"))
		count_jobs(all->hub, m);
	else if (mr_str_is(t, "lost"))
		mr_lost_known(all, mr_node_str(m, "holder"));
	else if (mr_str_is(t, "hello") && mr_str_is(mr_node_str(m, "role"), "worker"))
		welcome_worker(w, m);
	else if (mr_str_is(t, "hello") && mr_str_is(mr_node_str(m, "role"), "supervisor"))
		welcome_supervisor(w);
	else if (w->link == all->supervisor && mr_str_is(t, "app"))
		on_app(all, m);
	else if (w->link == all->supervisor && mr_str_is(t, "dev"))
		mr_hub_each(all->hub, on_dev, make_dev, &text);
	else if (w->link == all->supervisor && mr_str_is(t, "stop"))
		mr_hub_stop(all->hub);
	else
		mr_log(MR_WARN, "a peer sent what is not understood: %.*s", (int)MR_MIN(text.n, 200), text.p);
}

static void take_written(struct mr_worker *w, uint64_t n, struct mr_str text)
{
	mr_ticks_want(w->all->hub->ticks);
	mr_jobs_answer(w, n, text);
}

/* Answers and their parts are read by the threads that asked, for they may be large: here only their number. false: it is none of them. */
static bool take_answer(struct mr_worker *w, struct mr_str text)
{
	static const struct {
		const char *start;
		void (*take)(struct mr_worker *w, uint64_t n, struct mr_str text);
	} kinds[] = {
		{"{\"t\":\"reply\",\"n\":", mr_jobs_answer},
		{"{\"t\":\"wrote\",\"n\":", take_written},
		{"{\"t\":\"rows\",\"n\":", mr_jobs_answer},
		{"{\"t\":\"part\",\"n\":", mr_jobs_part},
	};
	for (size_t i = 0; i < MR_COUNT(kinds); i++) {
		size_t at = strlen(kinds[i].start);
		uint64_t n = 0;
		if (text.n <= at || memcmp(text.p, kinds[i].start, at) != 0)
			continue;
		for (; at < text.n && text.p[at] >= '0' && text.p[at] <= '9'; at++)
			n = n * 10 + (uint64_t)(text.p[at] - '0');
		kinds[i].take(w, n, text);
		return true;
	}
	return false;
}

static void on_message(struct mr_worker *w, struct mr_str text)
{
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *m = mr_json_read(&a, text, FRAME_DEPTH, false, &err);
	if (m)
		handle(w, text, m);
	else
		mr_log(MR_ERROR, "a worker sent a damaged frame: %s", err.message);
	mr_arena_fini(&a);
}

static void on_frame(struct mr_link *link, struct mr_str text, const int *fds, int n_fds, void *arg)
{
	struct mr_worker *w = arg;
	for (int i = 0; i < n_fds; i++)
		close(fds[i]);
	if (!text.p) {
		on_peer_gone(w);
		return;
	}
	if (!take_answer(w, text))
		on_message(w, text);
}

static pid_t process_of(int fd)
{
	struct ucred peer = {0};
	socklen_t size = sizeof peer;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

static void on_accept(void *arg, int events)
{
	struct mr_workers *all = arg;
	int fd = accept4(all->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct mr_worker *w = mr_alloc(sizeof *w);
	w->all = all;
	w->lane = -1;
	w->process = process_of(fd);
	mr_list_init(&w->jobs);
	mr_list_add_tail(&all->workers, &w->in_workers);
	w->link = mr_link_new(all->hub->loop, fd, on_frame, w);
}

/* --- the ring --- */

void mr_workers_read_ring(struct mr_workers *all, struct mr_payloads *payloads)
{
	uint8_t token[MR_TOKEN_BYTES];
	struct mr_buf payload = {0};
	uint64_t position;
	for (int lane = 0; lane < all->lanes; lane++) {
		for (int got = 1; all->lane_used[lane] && got;) {
			mr_buf_reset(&payload);
			got = mr_ring_read(all->ring, lane, token, &payload, &position);
			if (got < 0)
				all->hub->counter[MR_C_RING_LAPPED_TOTAL]++;
			else if (got)
				mr_payloads_add(payloads, token, mr_buf_view(&payload), lane, position);
		}
	}
	mr_buf_fini(&payload);
}

static void on_bell(void *arg)
{
	struct mr_workers *all = arg;
	uint64_t times;
	if (read(all->bell, &times, sizeof times) == sizeof times)
		mr_ticks_want(all->hub->ticks);
}

/* --- life --- */

static void on_janitor(void *arg)
{
	struct mr_workers *all = arg;
	mr_jobs_overdue(all);
	mr_lost_tell(all);
	mr_slow_expire(all->slow, mr_mono_us());
	all->hub->counter[MR_C_SLOW_FUNCTIONS] = mr_slow_count(all->slow);
	mr_workers_tell_kept(all);
	mr_timer_start(all->janitor, JANITOR_US);
}

static void on_held_up(void *arg)
{
	mr_jobs_held_up(arg);
}

static bool make_ring(struct mr_workers *all, struct mr_error *err)
{
	size_t size = 4096;
	while (size < (size_t)all->hub->settings.ring_bytes)
		size *= 2;
	all->lanes = LANES;
	all->lane_used = mr_alloc((size_t)all->lanes);
	all->lane_process = mr_alloc((size_t)all->lanes * sizeof *all->lane_process);
	all->ring = mr_ring_create(all->lanes, size, &all->ring_fd);
	if (!all->ring)
		return mr_fail(err, MR_INTERNAL, "Cannot make shared memory of %d x %zu bytes (ring_bytes): %s.", all->lanes, size,
			strerror(errno));
	all->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return all->bell >= 0 || mr_fail(err, MR_INTERNAL, "Cannot make an eventfd: %s.", strerror(errno));
}

struct mr_workers *mr_workers_new(struct mr_hub *hub, const char *path, struct mr_error *err)
{
	struct mr_workers *all = mr_alloc(sizeof *all);
	all->hub = hub;
	all->ring_fd = all->bell = -1;
	mr_list_init(&all->workers);
	mr_list_init(&all->lost);
	for (int i = 0; i < MR_LINES; i++)
		mr_list_init(&all->waiting[i]);
	all->slow = mr_slow_new(&hub->settings);
	all->held_up = mr_timer_new(hub->loop, on_held_up, all);
	mr_random(all->origin, sizeof all->origin);
	all->listener = mr_link_listen(path);
	if (all->listener < 0)
		mr_fail(err, MR_INTERNAL, "Cannot listen on the control socket %s: %s.", path, strerror(errno));
	if (all->listener < 0 || !make_ring(all, err)) {
		mr_workers_delete(&all);
		return NULL;
	}
	all->watch = mr_watch_new(hub->loop, all->listener, MR_READ, on_accept, all);
	all->janitor = mr_timer_new(hub->loop, on_janitor, all);
	mr_timer_start(all->janitor, JANITOR_US);
	return all;
}

static void on_bell_watch(void *arg, int events)
{
	on_bell(arg);
}

void mr_workers_listen_bell(struct mr_workers *all, struct mr_net *net)
{
	if (net)
		mr_net_on_readable(net, all->bell, on_bell, all);
	else
		all->bell_watch = mr_watch_new(all->hub->loop, all->bell, MR_READ, on_bell_watch, all);
}

void mr_workers_delete(struct mr_workers **all)
{
	struct mr_workers *ws = *all;
	if (!ws)
		return;
	mr_jobs_delete_all(ws);
	mr_lost_delete_all(ws);
	mr_map_fini(&ws->jobs);
	MR_LIST_FOR (e, &ws->workers) {
		struct mr_worker *w = MR_CONTAINER(e, struct mr_worker, in_workers);
		mr_list_del(&w->in_workers);
		mr_link_delete(&w->link);
		free(w->version);
		free(w);
	}
	if (ws->watch)
		mr_watch_delete(&ws->watch);
	if (ws->janitor)
		mr_timer_delete(&ws->janitor);
	mr_watch_delete(&ws->bell_watch);
	mr_ring_delete(&ws->ring);
	int fds[] = {ws->listener, ws->ring_fd, ws->bell};
	for (size_t i = 0; i < MR_COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(ws->lane_used);
	free(ws->lane_process);
	mr_slow_delete(&ws->slow);
	mr_buf_fini(&ws->leave);
	mr_timer_delete(&ws->held_up);
	mr_app_drop(&ws->next);
	free(ws->next_dir);
	free(ws);
	*all = NULL;
}
