/* A child process that the supervisor keeps alive: started, logged when it ends, started again after a jittered pause that doubles from
 * 0.05 s to 5 s and begins anew once it has lived for 10 s.
 */
#ifndef MR_CLI_CHILD_H
#define MR_CLI_CHILD_H

#include <sys/types.h>

#include "proto/ground/list.h"
#include "proto/ground/loop.h"
#include "spawn.h"

struct mr_children {
	struct mr_loop *loop;
	struct mr_list all;
};

struct mr_child;
/* Told after an end was logged; `again`: it will be started again. The child may be deleted here. */
typedef void mr_child_cb(struct mr_child *c, int status, bool again, void *arg);
typedef void mr_child_start_cb(struct mr_child *c, void *arg);

void mr_children_init(struct mr_children *cs, struct mr_loop *loop);
/* Collects children that ended; to be called on SIGCHLD. */
void mr_children_reap(struct mr_children *cs);
/* Waits up to timeout_ms until the given ones (NULL: all) are gone, then kills them. For the end of the supervisor: blocking. */
void mr_children_end(struct mr_children *cs, const char *name_prefix, int signal, int timeout_ms);

/* name: "worker 2"; argv: copied. Not started yet. */
struct mr_child *mr_child_new(struct mr_children *cs, const char *name, const char *const *argv, mr_child_cb *ended, void *arg);
void mr_child_on_start(struct mr_child *c, mr_child_start_cb *started); /* each time it was started */
void mr_child_delete(struct mr_child **c);                              /* it must not be running */
void mr_child_start(struct mr_child *c);
void mr_child_retire(struct mr_child *c, int signal); /* it is not started again; signal 0: it will end by itself */
pid_t mr_child_pid(const struct mr_child *c);         /* 0: not running */
int mr_child_failures(const struct mr_child *c);      /* ends in a row after short lives */

#endif
