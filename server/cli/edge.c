#include "edge.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/ground/log.h"

enum { KNOCK_US = 5000, FRAME_DEPTH = 16 };

struct mr_edge {
	struct mr_loop *loop;
	struct mr_child *child;
	struct mr_link *link;
	struct mr_timer *knock;
	char *socket;
	struct mr_edge_events events;
	bool up;     /* it has said welcome */
	bool was_up; /* it did so once, in this life or an earlier one */
};

static void welcome(struct mr_edge *e, const struct mr_node *m)
{
	int64_t port = 0;
	mr_node_int(mr_node_get(m, "port"), &port);
	e->up = e->was_up = true;
	e->events.up((int)port, e->events.arg);
}

/* The error of app_refused: an ErrorInfo, or a text. */
static struct mr_str sentence(const struct mr_node *m)
{
	const struct mr_node *error = mr_node_get(m, "error");
	struct mr_str s = mr_node_str(m, "error");
	return error && error->kind == MR_MAP ? mr_node_str(error, "message") : s;
}

static void on_message(struct mr_edge *e, const struct mr_node *m)
{
	struct mr_str t = mr_node_str(m, "t");
	if (mr_str_is(t, "welcome"))
		welcome(e, m);
	else if (mr_str_is(t, "app_serves"))
		e->events.serves(mr_node_str(m, "version"), e->events.arg);
	else if (mr_str_is(t, "app_refused"))
		e->events.refused(mr_node_str(m, "version"), sentence(m), e->events.arg);
	else
		mr_log(MR_WARN, "the fanout says something unknown: %.*s", (int)(t.n < 40 ? t.n : 40), t.n ? t.p : "");
}

static void on_frame(struct mr_link *link, struct mr_str text, const int *fds, int n_fds, void *arg)
{
	struct mr_edge *e = arg;
	for (int i = 0; i < n_fds; i++)
		close(fds[i]);
	if (!text.p) {
		e->up = false;
		mr_link_delete(&e->link);
		return;
	}
	struct mr_arena arena = {0};
	struct mr_error err;
	const struct mr_node *m = mr_json_read(&arena, text, FRAME_DEPTH, false, &err);
	if (m)
		on_message(e, m);
	else
		mr_log(MR_ERROR, "the fanout sent a damaged frame: %s", err.message);
	mr_arena_fini(&arena);
}

/* It makes its socket some milliseconds after it was started. */
static void on_knock(void *arg)
{
	struct mr_edge *e = arg;
	if (!mr_child_pid(e->child) || e->link)
		return;
	int fd = mr_link_connect(e->socket);
	if (fd < 0) {
		mr_timer_start(e->knock, KNOCK_US);
		return;
	}
	e->link = mr_link_new(e->loop, fd, on_frame, e);
	mr_link_send(e->link, MR_STR("{\"t\":\"hello\",\"role\":\"supervisor\"}"));
}

static void on_start(struct mr_child *c, void *arg)
{
	struct mr_edge *e = arg;
	mr_timer_start(e->knock, KNOCK_US);
}

static void on_end(struct mr_child *c, int status, bool again, void *arg)
{
	struct mr_edge *e = arg;
	mr_timer_stop(e->knock);
	e->up = false;
	if (e->link)
		mr_link_delete(&e->link);
	unlink(e->socket);
	if (!e->was_up && again)
		e->events.failed(e->events.arg);
}

struct mr_edge *mr_edge_new(struct mr_children *children, const char *program, const char *socket, const struct mr_edge_events *events)
{
	struct mr_edge *e = mr_alloc(sizeof *e);
	const char *argv[] = {program, "--control", socket, NULL};
	e->loop = children->loop;
	e->socket = mr_strdup(socket);
	e->events = *events;
	e->knock = mr_timer_new(e->loop, on_knock, e);
	e->child = mr_child_new(children, "fanout", argv, on_end, e);
	mr_child_on_start(e->child, on_start);
	return e;
}

void mr_edge_delete(struct mr_edge **ep)
{
	struct mr_edge *e = *ep;
	*ep = NULL;
	if (!e)
		return;
	if (e->link)
		mr_link_delete(&e->link);
	mr_timer_delete(&e->knock);
	mr_child_delete(&e->child);
	free(e->socket);
	free(e);
}

void mr_edge_start(struct mr_edge *e)
{
	unlink(e->socket);
	mr_child_start(e->child);
}

bool mr_edge_is_up(const struct mr_edge *e)
{
	return e->up;
}

void mr_edge_app(struct mr_edge *e, const char *dir, const char *version, int workers)
{
	struct mr_buf b = {0};
	if (!e->up)
		return;
	mr_buf_z(&b, "{\"t\":\"app\",\"dir\":");
	mr_json_quote(&b, mr_str(dir));
	mr_buf_z(&b, ",\"version\":");
	mr_json_quote(&b, mr_str(version));
	mr_buf_printf(&b, ",\"workers\":%d}", workers);
	mr_link_send(e->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

void mr_edge_dev(struct mr_edge *e, const char *error, bool reload)
{
	struct mr_buf b = {0};
	if (!e->up)
		return;
	mr_buf_z(&b, "{\"t\":\"dev\",\"error\":");
	if (error)
		mr_json_quote(&b, mr_str(error));
	else
		mr_buf_z(&b, "null");
	mr_buf_printf(&b, ",\"reload\":%s}", reload ? "true" : "false");
	mr_link_send(e->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

void mr_edge_types(struct mr_edge *e, struct mr_str text)
{
	struct mr_buf b = {0};
	if (!e->up)
		return;
	mr_buf_z(&b, "{\"t\":\"dev\",\"types\":");
	mr_json_quote(&b, text);
	mr_buf_char(&b, '}');
	mr_link_send(e->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

void mr_edge_stop(struct mr_edge *e)
{
	mr_child_retire(e->child, 0);
	if (e->link)
		mr_link_send(e->link, MR_STR("{\"t\":\"stop\"}"));
}
