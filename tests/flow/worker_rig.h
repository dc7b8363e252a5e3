/* A worker process under test: this side plays the fanout, with a real ring, bell and control socket, and a real Postgres. */
#ifndef MR_TEST_WORKER_RIG_H
#define MR_TEST_WORKER_RIG_H

#include "proto/ground/hash.h"
#include "proto/ground/loop.h"
#include "proto/ground/node.h"
#include "proto/link.h"
#include "proto/ring.h"
#include "proto/schema.h"
#include "tests/lib/postgres.h"

enum { RIG_LANES = 4, RIG_ANSWERS = 4096 };

struct rig_worker {
	pid_t pid;
	struct mr_link *link; /* NULL when it is gone */
	bool ready;
	int status; /* of its end; -1 while it lives */
	struct rig *rig;
	int lane;
};
struct rig {
	struct mr_test_pg pg;
	PGconn *db;
	struct mr_loop *loop;
	struct mr_ring *ring;
	int ring_fd, bell, listener;
	struct mr_watch *watch;
	char dir[160], socket[192], bundle[256];
	struct mr_app *app;
	struct rig_worker workers[RIG_LANES];
	int n_workers;
	struct rig_worker *starting; /* who connects next */
	char *answers[RIG_ANSWERS];  /* by n, JSON text of the frame */
	int n_answers;
	struct mr_buf logs;    /* frames of log messages, a line each */
	struct mr_buf slow;    /* frames that tell of slow slices */
	uint64_t n;            /* last number given */
	struct mr_arena arena; /* what rig_answer gives lives until the next rig_reset */
};

/* The executable millrace-worker and the bundle are found by environment or beside the test (worker_rig.c). */
void rig_init(struct rig *r, const char *bundle);
void rig_fini(struct rig *r);
/* Runs `millrace-worker --manifest path`; gives its exit status, output and standard error. */
int rig_manifest(struct rig *r, const char *path, struct mr_buf *out, struct mr_buf *err);

/* env: "NAME=value" pairs ended by NULL, or NULL. Waits until it is ready. */
struct rig_worker *rig_start(struct rig *r, const char *const *env);
int rig_end(struct rig_worker *w);      /* drain, wait; the status as waitpid gives it */
int rig_wait_end(struct rig_worker *w); /* waits until it ended by itself */

/* Sends a frame made of these members ("\"t\":\"call\",..."); n is added. Gives n. */
uint64_t rig_send(struct rig_worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t rig_query(struct rig_worker *w, const char *fn, const char *args);
uint64_t rig_mutation(struct rig_worker *w, const char *fn, const char *args, const char *session, const char *call);
uint64_t rig_entity(struct rig_worker *w, const char *act, const char *args, const char *user);
/* Waits up to 30 s. */
const struct mr_node *rig_answer(struct rig *r, uint64_t n);
bool rig_has_answer(const struct rig *r, uint64_t n);
void rig_turn(struct rig *r, int ms);
void rig_wait(struct rig *r, int ms);
void rig_reset(struct rig *r);

#endif
