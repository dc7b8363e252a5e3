/* Workers and the supervisor, as the fanout sees them: the control socket, the ring's lanes, take-over from one version of the app to the
 * next.
 */
#ifndef MR_WORKERS_H
#define MR_WORKERS_H

#include <sys/types.h>

#include "hub.h"
#include "payloads.h"
#include "proto/ground/hash.h"
#include "proto/link.h"
#include "proto/ring.h"

enum { MR_HOLDER_BYTES = 37 /* a uuid's text and its end */ };

struct mr_worker {
	struct mr_list in_workers;
	struct mr_workers *all;
	struct mr_link *link;
	int lane;                     /* -1: not a worker (yet) */
	int pid;                      /* as it says */
	pid_t process;                /* as the kernel says; 0: it does not */
	char *version;                /* of the code it loaded */
	char holder[MR_HOLDER_BYTES]; /* by what name it holds scheduled functions; "": it has none */
	bool ready, draining;
	struct mr_list jobs; /* given to it and not answered */
	size_t n_jobs;       /* all of them */
	size_t n_actions;    /* of these, actions */
};

struct mr_workers {
	struct mr_hub *hub;
	struct mr_list workers;
	struct mr_list waiting;         /* jobs for which there is no worker */
	struct mr_list waiting_actions; /* those for which no worker has room */
	struct mr_map jobs;             /* by number */
	struct mr_list lost;            /* lost.c; so many */
	size_t n_lost;
	struct mr_ring *ring;
	int ring_fd, bell, lanes;
	bool *lane_used;
	pid_t *lane_process; /* who has the lane or had it last */
	uint8_t origin[8];
	int listener;
	struct mr_watch *watch, *bell_watch;
	struct mr_link *supervisor;
	struct mr_timer *janitor;
	struct mr_payloads *payloads; /* the ticks' */
	/* The version that takes over when enough of its workers are ready. */
	struct mr_app *next;
	char *next_dir;
	int64_t next_workers;
	size_t switching; /* threads that do not serve the hub's version yet */
};

/* Listens at path. NULL and *err. */
struct mr_workers *mr_workers_new(struct mr_hub *hub, const char *path, struct mr_error *err);
void mr_workers_delete(struct mr_workers **all);
/* Rung by workers: a tick is wanted. net: whose loop waits for it; NULL: the hub's own. */
void mr_workers_listen_bell(struct mr_workers *all, struct mr_net *net);
/* Everything that is new in the ring goes into the payloads. */
void mr_workers_read_ring(struct mr_workers *all, struct mr_payloads *payloads);

/* A process; one that the kernel does not know (0) is dead as well. */
bool mr_worker_is_dead(pid_t process);

/* For jobs.c. */
struct mr_worker *mr_workers_least_busy(struct mr_workers *all);
struct mr_worker *mr_workers_for_action(struct mr_workers *all); /* NULL also when all have worker_actions */

#endif
