/* Child processes. Each child is told by the kernel when this process dies (even by kill -9), has its own process group (a Ctrl-C on the
 * terminal reaches only us, we end the others in order), no standard input but what it is given, and only the descriptors it is given.
 */
#ifndef MR_CLI_SPAWN_H
#define MR_CLI_SPAWN_H

#include <sys/types.h>

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

struct mr_spawn {
	const char *const *argv; /* argv[0] is a path; NULL-terminated */
	const char *cwd;         /* NULL: ours */
	int out, err;            /* descriptors for standard output and error; -1: ours */
	struct mr_str input;     /* its standard input */
	const char *node_path;   /* NODE_PATH for it, or NULL */
	bool tool;               /* a foreign program or the app's own code at build time: gets no secrets in its environment */
};

/* The child's pid, or -1 and err. */
pid_t mr_spawn(const struct mr_spawn *s, struct mr_error *err);

/* Runs fn(arg) in a forked copy of this process; its result is the exit status. The same rules hold for it. */
pid_t mr_spawn_fn(int (*fn)(void *arg), void *arg, struct mr_error *err);

/* Runs a program to its end and collects what it printed. status is as from waitpid. After timeout_ms it is killed: false and a sentence.
 */
bool mr_run(const struct mr_spawn *s, int timeout_ms, struct mr_buf *out, struct mr_buf *errors, int *status, struct mr_error *err);

/* "exit code 1", "signal 9 (Killed)", "time limit", "memory limit": how a child ended, in words. */
void mr_exit_words(int status, struct mr_buf *out);

#endif
