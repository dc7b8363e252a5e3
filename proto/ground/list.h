/* Doubly linked lists, intrusive and circular; an empty head points to itself. */
#ifndef MR_GROUND_LIST_H
#define MR_GROUND_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mr_list {
	struct mr_list *next, *prev;
};

static inline void mr_list_init(struct mr_list *l)
{
	l->next = l->prev = l;
}
static inline bool mr_list_empty(const struct mr_list *l)
{
	return l->next == l;
}
static inline bool mr_list_linked(const struct mr_list *l)
{
	return l->next && l->next != l;
}
static inline void mr_list_add_tail(struct mr_list *head, struct mr_list *e)
{
	e->prev = head->prev;
	e->next = head;
	head->prev->next = e;
	head->prev = e;
}
static inline void mr_list_del(struct mr_list *e)
{
	if (!e->next)
		return;
	e->prev->next = e->next;
	e->next->prev = e->prev;
	mr_list_init(e);
}
#define MR_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* The element may be taken out, and freed, within. */
#define MR_LIST_FOR(e, head)                                                                                                               \
	for (struct mr_list * (e) = (head)->next, *e##_next = (e)->next; (e) != (head); (e) = e##_next, e##_next = (e)->next)

#endif
