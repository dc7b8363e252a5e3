/* Workers and the supervisor, as the fanout sees them: the control socket, the ring's lanes, take-over from one version of the app to the
 * next.
 */
#ifndef MR_WORKERS_H
#define MR_WORKERS_H

#include <sys/types.h>

#include "fanout.h"
#include "payloads.h"
#include "proto/ground/hash.h"
#include "proto/link.h"
#include "proto/ring.h"

struct mr_task;

struct mr_worker {
	struct mr_list in_workers;
	struct mr_workers *all;
	struct mr_link *link;
	int lane;      /* -1: not a worker (yet) */
	int pid;       /* as it says */
	pid_t process; /* as the kernel says; 0: it does not */
	char *version; /* of the code it loaded */
	bool ready, draining;
	struct mr_list tasks; /* given to it and not answered */
	size_t n_tasks;
};

struct mr_workers {
	struct mr_fanout *f;
	struct mr_list workers;
	struct mr_list waiting; /* tasks for which there is no worker */
	struct mr_map tasks;    /* by number */
	uint64_t last_task;
	struct mr_ring *ring;
	int ring_fd, bell, lanes;
	bool *lane_used;
	pid_t *lane_process; /* who has the lane or had it last */
	uint8_t origin[8];
	int listener;
	struct mr_watch *watch;
	struct mr_link *supervisor;
	struct mr_timer *janitor;
	struct mr_payloads *payloads; /* the clock's */
	/* The version that takes over when enough of its workers are ready. */
	struct mr_app *next;
	char *next_dir;
	int64_t next_workers;
};

/* Listens at path. NULL and *err. */
struct mr_workers *mr_workers_new(struct mr_fanout *f, const char *path, struct mr_error *err);
void mr_workers_delete(struct mr_workers **all);
/* Ticks follow the bell from now on. */
void mr_workers_listen_bell(struct mr_workers *all);
/* Everything that is new in the ring goes into the payloads. */
void mr_workers_read_ring(struct mr_workers *all, struct mr_payloads *payloads);

/* For tasks.c. */
struct mr_worker *mr_workers_least_busy(struct mr_workers *all);
void mr_tasks_dispatch(struct mr_workers *all); /* waiting ones, to whom there is */
void mr_tasks_answer(struct mr_worker *w, struct mr_str text, const struct mr_node *message);
void mr_tasks_orphaned(struct mr_worker *w, uint64_t running, enum mr_reason reason); /* its worker died */
void mr_tasks_console(struct mr_worker *w, const struct mr_node *message);
void mr_tasks_overdue(struct mr_workers *all);
void mr_tasks_delete_all(struct mr_workers *all);

#endif
