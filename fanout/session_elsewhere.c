/* One session on several threads: a client that comes back may come to another thread than before. The calls that still run there end in
 * the log, where they are found when it sends them again; its old socket is closed, unless the identity is another one: then the new one
 * is.
 */
#include <stdlib.h>

#include "hub.h"
#include "session.h"

struct arrival {
	struct mr_fanout *f, *at; /* who is told; where it came to */
	uint64_t order;           /* of arrivals in the process */
	struct mr_str id, auth;   /* heap */
};

static void free_arrival(struct arrival *a)
{
	free((char *)a->id.p);
	free((char *)a->auth.p);
	free(a);
}

static struct mr_session *find(const struct mr_fanout *f, struct mr_str id)
{
	return mr_map_get(&f->sessions->by_id, id);
}

static void on_refusal(void *arg)
{
	struct arrival *a = arg;
	struct mr_session *s = find(a->at, a->id);
	if (s && s->arrival == a->order)
		mr_session_refuse(s);
	free_arrival(a);
}

static void on_arrival(void *arg)
{
	struct arrival *a = arg;
	struct mr_session *s = find(a->f, a->id);
	if (s && s->arrival < a->order && !mr_str_eq(mr_session_whose(s), a->auth)) {
		mr_loop_call(a->at->loop, on_refusal, a);
		return;
	}
	if (s && s->arrival < a->order)
		mr_session_close(s, 4001, "replaced");
	free_arrival(a);
}

static void tell(struct mr_session *s, struct mr_fanout *f)
{
	struct arrival *a = mr_alloc(sizeof *a);
	*a = (struct arrival){f, s->all->f, s->arrival, {mr_strndup(s->id.p, s->id.n), s->id.n}, {0}};
	struct mr_str auth = mr_session_whose(s);
	if (auth.n)
		a->auth = (struct mr_str){mr_strndup(auth.p, auth.n), auth.n};
	mr_loop_call(f->loop, on_arrival, a);
}

void mr_session_arrives(struct mr_session *s)
{
	struct mr_hub *hub = s->all->f->hub;
	s->arrival = ++hub->arrivals;
	for (size_t i = 0; i < hub->n; i++)
		if (hub->threads[i] != s->all->f)
			tell(s, hub->threads[i]);
}
