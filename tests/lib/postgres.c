#include "postgres.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/ground/log.h"
#include "proto/ground/mem.h"

/* Runs a program as somebody whom Postgres accepts, who dies with us. */
static pid_t spawn(char *const argv[])
{
	const char *head[] = {"setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--pdeathsig", "INT"};
	const char *full[32];
	size_t n = 0;
	for (size_t i = 0; i < MR_COUNT(head); i++)
		if (i == 0 || i >= 6 || geteuid() == 0) /* who is not root stays who he is */
			full[n++] = head[i];
	for (size_t i = 0; argv[i]; i++)
		full[n++] = argv[i];
	full[n] = NULL;
	pid_t pid = fork();
	if (pid == 0) {
		execvp(full[0], (char *const *)full);
		_exit(127);
	}
	if (pid < 0)
		mr_die("cannot fork");
	return pid;
}

static int finish(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		;
	return status;
}

/* Of Debian's versions, the highest that pg_config names; initdb in PATH may be something else. */
static const char *program(const char *name)
{
	static char path[256];
	FILE *f = popen("pg_config --bindir 2>/dev/null || ls -d /usr/lib/postgresql/*/bin | tail -1", "r");
	if (!f || !fgets(path, sizeof(path) - 32, f))
		mr_die("Postgres is not installed");
	pclose(f);
	path[strcspn(path, "\n")] = 0;
	strcat(path, "/");
	strncat(path, name, 20);
	return path;
}

static void make_dir(struct mr_test_pg *pg)
{
	*pg = (struct mr_test_pg){0};
	const char *tmp = getenv("TMPDIR");
	snprintf(pg->dir, sizeof(pg->dir), "%s/millrace-pg-XXXXXX", tmp && strlen(tmp) < 60 ? tmp : "/tmp");
	if (!mkdtemp(pg->dir))
		mr_die("cannot make %s", pg->dir);
	const struct passwd *user = getpwnam("postgres");
	if (geteuid() == 0 && (!user || chown(pg->dir, user->pw_uid, user->pw_gid)))
		mr_die("there is no user postgres");
	snprintf(pg->conninfo, sizeof(pg->conninfo), "host=%s user=postgres dbname=postgres", pg->dir);
}

void mr_test_pg_init(struct mr_test_pg *pg)
{
	make_dir(pg);
	char log[160];
	snprintf(log, sizeof(log), "%s/initdb.log", pg->dir);
	char data[160];
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	char *const argv[] = {(char *)program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C",
		"--no-instructions", NULL};
	fflush(stdout);
	int out = dup(1);
	if (!freopen(log, "w", stdout))
		mr_die("cannot write %s", log);
	int status = finish(spawn(argv));
	fflush(stdout);
	dup2(out, 1);
	close(out);
	if (status)
		mr_die("initdb failed, see %s", log);
	mr_test_pg_start(pg);
}

void mr_test_pg_standby(struct mr_test_pg *pg, const struct mr_test_pg *of)
{
	make_dir(pg);
	char data[160];
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	char *const argv[] = {
		(char *)program("pg_basebackup"), "-h", (char *)of->dir, "-U", "postgres", "-D", data, "-R", "-c", "fast", NULL};
	if (finish(spawn(argv)))
		mr_die("pg_basebackup failed");
	pg->setting = of->setting;
	mr_test_pg_start(pg);
}

void mr_test_pg_start(struct mr_test_pg *pg)
{
	char data[160], sockets[192];
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", pg->dir);
	char *const argv[] = {(char *)program("postgres"), "-D", data, "-c", sockets, "-c", "listen_addresses=", "-c", "fsync=off", "-c",
		"max_prepared_transactions=20", "-c", "max_connections=60", "-c", "log_min_messages=panic", "-c",
		"log_min_error_statement=panic", "-c", "autovacuum=off", pg->setting ? "-c" : NULL, (char *)pg->setting, NULL};
	pg->pid = spawn(argv);
	for (int i = 0; PQping(pg->conninfo) != PQPING_OK; i++) {
		if (i > 3000 || waitpid(pg->pid, NULL, WNOHANG) > 0)
			mr_die("Postgres does not start in %s", pg->dir);
		usleep(10000);
	}
}

void mr_test_pg_stop(struct mr_test_pg *pg, int sig)
{
	kill(pg->pid, sig);
	finish(pg->pid);
	pg->pid = 0;
}

void mr_test_pg_fini(struct mr_test_pg *pg)
{
	if (pg->pid)
		mr_test_pg_stop(pg, SIGINT);
	char command[192];
	snprintf(command, sizeof(command), "rm -rf '%s'", pg->dir);
	if (system(command))
		mr_log(MR_WARN, "%s stays behind", pg->dir);
}

static void ignore(void *arg, const char *message) {}

PGconn *mr_test_connect(const struct mr_test_pg *pg)
{
	PGconn *conn = PQconnectdb(pg->conninfo);
	if (PQstatus(conn) != CONNECTION_OK)
		mr_die("%s", PQerrorMessage(conn));
	PQsetNoticeProcessor(conn, ignore, NULL);
	return conn;
}

static PGresult *run(PGconn *conn, const char *fmt, va_list ap)
{
	struct mr_buf sql = {0};
	mr_buf_vprintf(&sql, fmt, ap);
	PGresult *res = PQexec(conn, sql.p);
	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		mr_die("%s in %s", PQresultErrorMessage(res), sql.p);
	mr_buf_fini(&sql);
	return res;
}

void mr_test_exec(PGconn *conn, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	PQclear(run(conn, fmt, ap));
	va_end(ap);
}

const char *mr_test_ask(PGconn *conn, const char *fmt, ...)
{
	static _Thread_local char text[4096];
	va_list ap;
	va_start(ap, fmt);
	PGresult *res = run(conn, fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s", PQntuples(res) ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	return text;
}

int64_t mr_test_ask_int(PGconn *conn, const char *sql)
{
	return strtoll(mr_test_ask(conn, "%s", sql), NULL, 10);
}
