/* The door to the fanout: messages in, answers out (proto/link.h). Values pass through as JSON text. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "proto/ground/log.h"
#include "worker.h"

/* ---- out ---- */

static void head(struct mr_buf *b, const struct mr_job *job)
{
	const char *t = job->kind == MR_JOB_READ ? "rows" : job->rings ? "wrote" : "reply";
	mr_buf_printf(b, "{\"t\":\"%s\",\"n\":%" PRIu64, t, job->n);
}

static void send_answer(struct mr_job *job, struct mr_buf *b)
{
	MR_ASSERT(!job->answered);
	job->answered = true;
	if (job->w->link)
		mr_link_send(job->w->link, mr_buf_view(b));
	mr_buf_fini(b);
}

void mr_print_written(struct mr_buf *more, uint64_t xid, int64_t seq)
{
	mr_buf_printf(more, ",\"xid\":%" PRIu64 ",\"seq\":%" PRId64, xid, seq);
}

void mr_answer(struct mr_job *job, struct mr_str value, struct mr_str more)
{
	struct mr_buf b = {0};
	if (job->inner) {
		(job->scheduled ? mr_scheduled_answered : mr_action_answered)(job, true, value);
		return;
	}
	head(&b, job);
	mr_buf_z(&b, ",\"value\":");
	mr_buf_str(&b, value.n ? value : MR_STR("null"));
	mr_buf_str(&b, more);
	mr_buf_char(&b, '}');
	send_answer(job, &b);
}

void mr_answer_error_text(struct mr_job *job, struct mr_str error, struct mr_str more)
{
	struct mr_buf b = {0};
	if (job->inner) {
		(job->scheduled ? mr_scheduled_answered : mr_action_answered)(job, false, error);
		return;
	}
	head(&b, job);
	mr_buf_z(&b, ",\"error\":");
	mr_buf_str(&b, error);
	mr_buf_str(&b, more);
	mr_buf_char(&b, '}');
	send_answer(job, &b);
}

void mr_answer_error(struct mr_job *job, const struct mr_error *err)
{
	struct mr_buf text = {0};
	mr_error_log(job, err);
	mr_error_print(&text, job, err);
	mr_answer_error_text(job, mr_buf_view(&text), MR_STR(""));
	mr_buf_fini(&text);
}

void mr_answer_split(struct mr_job *job)
{
	struct mr_buf b = {0};
	head(&b, job);
	mr_buf_z(&b, ",\"split\":true}");
	send_answer(job, &b);
}

void mr_answer_rows(struct mr_job *job, struct mr_str load)
{
	struct mr_buf b = {0};
	MR_ASSERT(load.n > 2 && load.p[0] == '{');
	head(&b, job);
	mr_buf_char(&b, ',');
	mr_buf_add(&b, load.p + 1, load.n - 1);
	send_answer(job, &b);
}

void mr_door_log(struct mr_worker *w, struct mr_job *job, struct mr_str level, struct mr_str text)
{
	if (!w->link || !w->ready)
		return;
	struct mr_buf b = {0};
	mr_buf_printf(&b, "{\"t\":\"log\",\"n\":%" PRIu64 ",\"fn\":", job->root);
	mr_json_quote(&b, job->fn->name);
	mr_buf_z(&b, ",\"level\":");
	mr_json_quote(&b, level);
	mr_buf_z(&b, ",\"text\":");
	mr_json_quote(&b, text);
	if (job->session.n) {
		mr_buf_z(&b, ",\"session\":");
		mr_json_quote(&b, job->session);
	}
	mr_buf_char(&b, '}');
	mr_link_send(w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

/* For what an action calls, the action answers: that is what the fanout finds a worker for. */
void mr_door_slow(struct mr_job *job, int64_t us, bool ended)
{
	while (job->inner && job->asker)
		job = job->asker->job;
	if (!job->w->link || (job->inner && !job->scheduled))
		return;
	struct mr_buf b = {0};
	mr_buf_z(&b, "{\"t\":\"slow\",\"fn\":");
	mr_json_quote(&b, job->fn->name);
	mr_buf_printf(&b, ",\"ms\":%" PRId64 "%s}", us / 1000, ended ? ",\"ended\":true" : "");
	mr_link_send(job->w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

void mr_door_jobs(struct mr_worker *w, int64_t done, int64_t failed, int64_t late)
{
	if (!w->link)
		return;
	struct mr_buf b = {0};
	mr_buf_printf(&b, "{\"t\":\"jobs\",\"done\":%" PRId64 ",\"failed\":%" PRId64 ",\"late\":%" PRId64 "}", done, failed, late);
	mr_link_send(w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

void mr_door_lost(struct mr_worker *w, struct mr_str holder)
{
	struct mr_buf b = {0};
	if (!w->link)
		return;
	mr_buf_printf(&b, "{\"t\":\"lost\",\"holder\":\"%.*s\"}", (int)holder.n, holder.p);
	mr_link_send(w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

void mr_door_ready(struct mr_worker *w)
{
	struct mr_buf b = {0};
	const char *holder = mr_scheduler_holder(w);
	w->ready = true;
	mr_buf_z(&b, "{\"t\":\"ready\"");
	if (holder)
		mr_buf_printf(&b, ",\"holder\":\"%s\"", holder);
	mr_buf_char(&b, '}');
	mr_link_send(w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
	mr_log(MR_INFO, "ready: app %.*s", (int)w->app->version.n, w->app->version.p);
}

static void send_hello(struct mr_worker *w)
{
	struct mr_buf b = {0};
	mr_buf_printf(&b, "{\"t\":\"hello\",\"role\":\"worker\",\"pid\":%d,\"app\":", (int)getpid());
	mr_json_quote(&b, w->app->version);
	mr_buf_printf(&b, ",\"protocol\":%d}", MR_LINK_PROTOCOL);
	mr_link_send(w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

/* ---- in ---- */

/* Numbers of attempts never come twice under one origin: the lane, then a count that begins at the machine's running time in microseconds,
 * so that the next worker on this lane begins above all that this one could have reached. */
static void begin_numbers(struct mr_worker *w)
{
	w->attempts = (uint64_t)w->lane << 56 | ((uint64_t)mr_mono_us() & (((uint64_t)1 << 56) - 1));
}

static void on_welcome(struct mr_worker *w, const struct mr_node *m, const int *fds, int n_fds)
{
	int64_t lane;
	const char *why = NULL;
	struct mr_str origin = mr_node_str(m, "origin");
	if (w->ring || n_fds != 2 || !mr_node_int(mr_node_get(m, "lane"), &lane) || lane < 0 || lane > 255 ||
		origin.n != 2 * sizeof w->origin || !mr_hex_read(origin, w->origin))
		mr_die("the fanout's welcome is not understood");
	w->lane = (int)lane;
	w->ring_fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
	w->bell = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
	w->ring = mr_ring_attach(w->ring_fd, w->lane, &why);
	if (!w->ring)
		mr_die("cannot attach to the ring: %s", why);
	begin_numbers(w);
	char name[32];
	snprintf(name, sizeof name, "worker %d", w->lane);
	mr_log_init(name, mr_worker_level(&w->settings));
	mr_worker_welcomed(w);
}

static uint64_t number_of(const struct mr_node *m)
{
	int64_t n;
	return mr_node_int(mr_node_get(m, "n"), &n) && n > 0 ? (uint64_t)n : 0;
}

static void on_frame(struct mr_link *link, struct mr_str text, const int *fds, int n_fds, void *arg)
{
	struct mr_worker *w = arg;
	if (!text.p) {
		mr_link_delete(&w->link);
		mr_worker_deserted(w);
		return;
	}
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *m = mr_json_read(&a, mr_arena_str(&a, text), 1024, false, &err);
	struct mr_str t = mr_node_str(m, "t");
	if (mr_str_is(t, "call") || mr_str_is(t, "run") || mr_str_is(t, "read"))
		mr_job_start(w, &a, m);
	else if (mr_str_is(t, "cancel"))
		mr_job_cancel(w, number_of(m));
	else if (mr_str_is(t, "forget"))
		mr_job_forget(w, number_of(m));
	else if (mr_str_is(t, "part"))
		mr_job_body(w, number_of(m), m);
	else if (mr_str_is(t, "lost"))
		mr_scheduler_lost(w, mr_node_str(m, "holder"));
	else if (mr_str_is(t, "leave"))
		mr_scheduler_leave(w, mr_node_get(m, "fns"));
	else if (mr_str_is(t, "drain"))
		mr_jobs_drain(w);
	else if (mr_str_is(t, "welcome"))
		on_welcome(w, m, fds, n_fds);
	else
		mr_log(MR_WARN, "the fanout sent what this worker does not know: %.*s", (int)MR_MIN(text.n, 200), text.p);
	for (int i = 0; i < n_fds; i++)
		close(fds[i]);
	mr_arena_fini(&a);
}

bool mr_door_open(struct mr_worker *w, const char *path, struct mr_error *err)
{
	int fd = mr_link_connect(path);
	if (fd < 0)
		return mr_fail(err, MR_INTERNAL, "Cannot reach the fanout at %s: %s.", path, strerror(errno));
	w->link = mr_link_new(w->loop, fd, on_frame, w);
	send_hello(w);
	return true;
}
