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
#include "slow.h"

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
	size_t n_slow;       /* of these, given to it as those of slow functions */
	int64_t slow_us;     /* when it last began or ended such a one; 0: never */
};

/* Jobs for which there is no worker yet, by what they need of one (choice.h). */
enum mr_line { MR_LINE_CALLS, MR_LINE_ACTIONS, MR_LINE_SLOW_CALLS, MR_LINE_SLOW_ACTIONS, MR_LINES };

struct mr_workers {
	struct mr_hub *hub;
	struct mr_list workers;
	struct mr_list waiting[MR_LINES];
	struct mr_map jobs;  /* by number */
	struct mr_list lost; /* lost.c; so many */
	size_t n_lost;
	struct mr_slow *slow;
	int64_t crew;           /* workers of the version that serves, as many as there shall be */
	struct mr_worker *kept; /* for quick functions; choice.h's */
	struct mr_worker *told; /* what to leave to others, as said below; NULL: nobody was */
	struct mr_buf leave;
	struct mr_ring *ring;
	int ring_fd, bell, lanes;
	bool *lane_used;
	pid_t *lane_process; /* who has the lane or had it last */
	uint8_t origin[8];
	int listener;
	struct mr_watch *watch, *bell_watch;
	struct mr_link *supervisor;
	struct mr_timer *janitor;
	struct mr_timer *held_up;     /* runs while there are jobs */
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

/* workers_slow.c: a slice of the function took so much CPU (ended: and was stopped); a worker died while its code ran. */
void mr_workers_slow_slice(struct mr_workers *all, struct mr_str fn, int64_t ms, bool ended);
void mr_workers_slow_death(struct mr_workers *all, struct mr_str fn, enum mr_reason reason);
/* What the ring says of a worker of this version that died while a scheduled function ran; of other versions nothing is known. */
void mr_workers_slow_scheduled(struct mr_workers *all, const char *version, uint64_t running, enum mr_reason reason);
/* The worker that is kept for quick functions learns which scheduled ones it leaves to the others. */
void mr_workers_tell_kept(struct mr_workers *all);

#endif
