/* Subscriptions that wait for their turn. Of one session only so many are asked for at once: who brings ten thousand gets their answers in
 * pieces, and others are served between them.
 */
#include <stdlib.h>

#include "clock.h"
#include "session.h"

enum {
	ASKED_MOST = 256,  /* of a session, and not answered yet */
	A_TURN_MOST = 256, /* are begun in a turn */
};

struct mr_queue {
	struct mr_session *session;
	struct mr_list subs;
	struct mr_list in_hungry; /* in all->hungry while there is room for some of it */
};

bool mr_session_is_full(const struct mr_session *s)
{
	return s->queue || s->n_asked >= ASKED_MOST;
}

void mr_queue_left(struct mr_session *s)
{
	struct mr_queue *q = s->queue;
	if (!q || !mr_list_empty(&q->subs))
		return;
	mr_list_del(&q->in_hungry);
	free(q);
	s->queue = NULL;
}

struct mr_list *mr_queue_subs(const struct mr_session *s)
{
	return s->queue ? &s->queue->subs : NULL;
}

void mr_queue_feed(struct mr_session *s)
{
	struct mr_sessions *all = s->all;
	if (!s->queue || s->stalled || s->n_asked >= ASKED_MOST || mr_list_linked(&s->queue->in_hungry))
		return;
	mr_list_add_tail(&all->hungry, &s->queue->in_hungry);
	if (!mr_timer_running(all->next_turn))
		mr_timer_start(all->next_turn, 0);
}

void mr_queue_add(struct mr_sub *sub)
{
	struct mr_session *s = sub->session;
	if (!s->queue) {
		s->queue = mr_alloc(sizeof *s->queue);
		s->queue->session = s;
		mr_list_init(&s->queue->subs);
		mr_list_init(&s->queue->in_hungry);
	}
	mr_list_add_tail(&s->queue->subs, &sub->in_session);
	mr_queue_feed(s);
}

/* Takes some out of the queue; how many. */
static size_t begin_some(struct mr_session *s, size_t most)
{
	size_t n = 0;
	for (; s->queue && !s->stalled && n < most && s->n_asked < ASKED_MOST; n++) {
		struct mr_sub *sub = mr_sub_of(s->queue->subs.next);
		mr_sub_state(sub, MR_SUB_NEW);
		mr_queue_left(s);
		mr_sub_begin(sub);
	}
	return n;
}

static void on_next_turn(void *arg)
{
	struct mr_sessions *all = arg;
	for (size_t n = 0; n < A_TURN_MOST && !mr_list_empty(&all->hungry);) {
		struct mr_queue *q = MR_CONTAINER(all->hungry.next, struct mr_queue, in_hungry);
		mr_list_del(&q->in_hungry);
		n += begin_some(q->session, A_TURN_MOST - n);
	}
	mr_sessions_advance(all);
	if (!mr_list_empty(&all->hungry) && !mr_timer_running(all->next_turn))
		mr_timer_start(all->next_turn, 0);
}

void mr_queues_init(struct mr_sessions *all)
{
	mr_list_init(&all->hungry);
	all->next_turn = mr_timer_new(all->f->loop, on_next_turn, all);
}

void mr_queues_fini(struct mr_sessions *all)
{
	mr_timer_delete(&all->next_turn);
}
