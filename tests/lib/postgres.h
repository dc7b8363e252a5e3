/* A private Postgres for C tests: its own data directory below TMPDIR, reachable by a unix socket in it only; it ends with the test.
 * Also blocking statements for writers and oracles. Everything fails the process with a message.
 */
#ifndef MR_TEST_POSTGRES_H
#define MR_TEST_POSTGRES_H

#include <libpq-fe.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct mr_test_pg {
	char dir[128], conninfo[256];
	const char *setting; /* one more "name=value", for the next start */
	pid_t pid;
};
void mr_test_pg_init(struct mr_test_pg *pg); /* makes the cluster, and starts it */
void mr_test_pg_start(struct mr_test_pg *pg);
void mr_test_pg_standby(struct mr_test_pg *pg, const struct mr_test_pg *of); /* a streaming standby of another one; started */
void mr_test_pg_stop(struct mr_test_pg *pg, int sig);                        /* SIGINT: fast; SIGQUIT: immediate */
void mr_test_pg_fini(struct mr_test_pg *pg);

PGconn *mr_test_connect(const struct mr_test_pg *pg);
void mr_test_exec(PGconn *conn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The first column of the first row; "" when there is none. Valid until the next call. */
const char *mr_test_ask(PGconn *conn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t mr_test_ask_int(PGconn *conn, const char *sql);

#endif
