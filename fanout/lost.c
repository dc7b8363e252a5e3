#include "lost.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOST_MAX = 1000 /* the others wait */ };

struct lost {
	struct mr_list in_lost;
	pid_t process;
	const struct mr_worker *told; /* that one tells Postgres; NULL: nobody does */
	char holder[MR_HOLDER_BYTES];
};

static void free_lost(struct mr_workers *all, struct lost *l)
{
	mr_list_del(&l->in_lost);
	all->n_lost--;
	free(l);
}

void mr_lost_add(const struct mr_worker *w)
{
	struct mr_workers *all = w->all;
	MR_LIST_FOR (e, &all->lost) {
		struct lost *l = MR_CONTAINER(e, struct lost, in_lost);
		if (l->told == w)
			l->told = NULL;
	}
	if (!w->holder[0] || all->n_lost == LOST_MAX)
		return;
	struct lost *l = mr_alloc(sizeof *l);
	l->process = w->process;
	memcpy(l->holder, w->holder, sizeof l->holder);
	mr_list_add_tail(&all->lost, &l->in_lost);
	all->n_lost++;
}

static struct mr_worker *somebody(const struct mr_workers *all)
{
	MR_LIST_FOR (e, &all->workers) {
		struct mr_worker *w = MR_CONTAINER(e, struct mr_worker, in_workers);
		if (w->ready && !w->draining && w->holder[0])
			return w;
	}
	return NULL;
}

void mr_lost_tell(struct mr_workers *all)
{
	struct mr_worker *w = mr_list_empty(&all->lost) ? NULL : somebody(all);
	if (!w)
		return;
	MR_LIST_FOR (e, &all->lost) {
		struct lost *l = MR_CONTAINER(e, struct lost, in_lost);
		char text[80];
		if (l->told || !mr_worker_is_dead(l->process))
			continue;
		int n = snprintf(text, sizeof text, "{\"t\":\"lost\",\"holder\":\"%s\"}", l->holder);
		mr_link_send(w->link, (struct mr_str){text, (size_t)n});
		l->told = w;
	}
}

void mr_lost_known(struct mr_workers *all, struct mr_str holder)
{
	MR_LIST_FOR (e, &all->lost) {
		struct lost *l = MR_CONTAINER(e, struct lost, in_lost);
		if (mr_str_is(holder, l->holder))
			free_lost(all, l);
	}
}

void mr_lost_delete_all(struct mr_workers *all)
{
	MR_LIST_FOR (e, &all->lost)
		free_lost(all, MR_CONTAINER(e, struct lost, in_lost));
}
