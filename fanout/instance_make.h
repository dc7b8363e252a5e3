/* How instances are made; for the files of this room. */
#ifndef MR_INSTANCE_MAKE_H
#define MR_INSTANCE_MAKE_H

#include "instance.h"

struct mr_instance *mr_instance_find_rows(struct mr_instances *all, const struct mr_query *q, struct mr_error *err);
struct mr_instance *mr_instance_find_fn(struct mr_instances *all, const struct mr_query *q, struct mr_error *err);
struct mr_instance *mr_instance_find_included(struct mr_instances *all, const struct mr_query *q, struct mr_error *err);
/* Of an entity query: whose rows it asks for, and which of them this caller may see and wants. NULL and *err when refused. */
const struct mr_entity *mr_query_entity(const struct mr_fanout *f, const struct mr_query *q, struct mr_error *err);
const struct mr_pred *mr_query_predicate(struct mr_arena *a, const struct mr_entity *e, const struct mr_query *q, struct mr_error *err);
/* The same query with another predicate, as find gives it. */
struct mr_instance *mr_instance_with(const struct mr_instance *inst, const struct mr_pred *pred);
/* Keys carry the app's version by themselves; the text given is the rest. */
struct mr_instance *mr_instance_by_key(struct mr_instances *all, struct mr_str text);
/* Goes with the instance, from *room on: n bytes, aligned as pointers are; room may be NULL. */
struct mr_instance *mr_instance_make(struct mr_instances *all, struct mr_str text, size_t n, void **room);
/* n bytes of that text, from `at` on, as the instance keeps them. */
struct mr_str mr_instance_part(const struct mr_instance *inst, size_t at, size_t n);

#endif
