/* The edge: the fanout's process and the supervisor's line to it. Restarted when it dies; what was said last (app, error) is then said
 * again.
 */
#ifndef MR_CLI_EDGE_H
#define MR_CLI_EDGE_H

#include "child.h"
#include "proto/ground/node.h"
#include "proto/link.h"

struct mr_edge;
struct mr_edge_events {
	void (*up)(int port, void *arg); /* it listens; say what it must know */
	void (*serves)(struct mr_str version, void *arg);
	void (*refused)(struct mr_str version, struct mr_str sentence, void *arg);
	void (*failed)(void *arg); /* it ended before it ever listened */
	void *arg;
};
struct mr_edge *mr_edge_new(struct mr_children *children, const char *program, const char *socket, const struct mr_edge_events *events);
void mr_edge_delete(struct mr_edge **e); /* its process must be gone */
void mr_edge_start(struct mr_edge *e);
bool mr_edge_is_up(const struct mr_edge *e);
/* These do nothing while it is down. */
void mr_edge_app(struct mr_edge *e, const char *dir, const char *version, int workers);
void mr_edge_dev(struct mr_edge *e, const char *error, bool reload); /* error: NULL, all is well */
void mr_edge_types(struct mr_edge *e, struct mr_str text);           /* what the type check found */
void mr_edge_stop(struct mr_edge *e);                                /* asks it to end, and does not start it again */

#endif
