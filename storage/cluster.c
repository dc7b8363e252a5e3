/* The private cluster: a Postgres of our own on a unix socket, for development and small installs.
 *
 *   dir/data          what initdb made (made as dir/data.new and renamed, so that a half-made one is never taken for a whole one)
 *   dir/postgres.log  what the server says
 *   dir/.s.PGSQL.5432 the socket; in a short directory elsewhere when dir is too long for a socket address
 *
 * Nobody but the owner of dir reaches it: dir is closed to others, there is no TCP.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>

#include "install.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "proto/ground/loop.h"
#include "sync.h"

enum {
	SOCKET_DIR_MAX = 90, /* "/.s.PGSQL.5432.lock" must fit into sun_path behind it */
	LOG_KEEP = 10 << 20, /* a longer log is begun anew at the next start */
	ARGS_MAX = 24,
	START_MS = 120000, /* recovery after a crash may take its time */
	STOP_MS = 20000,
	OLDEST = 14,
	/* Bytes free, below which a failure is laid to the disk. */
	DISK_TO_MAKE = 64 << 20,
	DISK_TO_START = 1 << 20,
};
/* Not "millrace": unqualified names would then be looked for, and made, in the schema of that name first. */
#define ROLE     "postgres"
#define DATABASE "millrace"

struct mr_cluster {
	int pid;
	bool reaped;
	bool as_postgres; /* we are root: the server runs as user postgres */
	uid_t uid;
	gid_t gid;
	char *dir, *data, *log, *socket_dir, *bin;
};

static void release(struct mr_cluster *c)
{
	free(c->dir);
	free(c->data);
	free(c->log);
	free(c->socket_dir);
	free(c->bin);
	free(c);
}

static void sleep_us(int64_t us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000};
	nanosleep(&t, NULL);
}

/* ---- where things are ---- */

static int major_of(const char *name)
{
	char *end;
	long major = strtol(name, &end, 10);
	return *end || major < OLDEST || major > 999 ? 0 : (int)major;
}

/* The major version of the data that is there; 0: none. */
static int data_major(const struct mr_cluster *c)
{
	char *path = mr_printf("%s/PG_VERSION", c->data), text[16] = "";
	FILE *f = fopen(path, "re");
	free(path);
	if (!f)
		return 0;
	bool read = fgets(text, sizeof(text), f) != NULL;
	fclose(f);
	return read ? atoi(text) : 0;
}

static bool has_server(const char *bin)
{
	char *server = mr_printf("%s/postgres", bin), *maker = mr_printf("%s/initdb", bin);
	bool ok = access(server, X_OK) == 0 && access(maker, X_OK) == 0;
	free(server);
	free(maker);
	return ok;
}

/* The folder of version `wanted` (0: the newest) below root: Debian keeps each in its own. */
static char *find_versioned(const char *root, const char *form, int wanted)
{
	DIR *d = opendir(root);
	if (!d)
		return NULL;
	char *best = NULL;
	int best_major = 0;
	size_t skip = strcspn(form, "%");
	for (struct dirent *e; (e = readdir(d));) {
		int major = strncmp(e->d_name, form, skip) ? 0 : major_of(e->d_name + skip);
		if (!major || (wanted && major != wanted) || major < best_major)
			continue;
		char *bin = mr_printf("%s/%s/bin", root, e->d_name);
		if (has_server(bin)) {
			free(best);
			best = bin;
			best_major = major;
		} else {
			free(bin);
		}
	}
	closedir(d);
	return best;
}

/* From PATH, where the version is not told by the name; the server itself refuses data of another one. */
static char *find_in_path(void)
{
	const char *path = getenv("PATH");
	while (path && *path) {
		size_t n = strcspn(path, ":");
		char *bin = mr_strndup(path, n);
		if (n && has_server(bin))
			return bin;
		free(bin);
		path += n + (path[n] == ':');
	}
	return NULL;
}

static bool find_binaries(struct mr_cluster *c, struct mr_error *err)
{
	int major = data_major(c);
	c->bin = find_versioned("/usr/lib/postgresql", "%", major);
	if (!c->bin)
		c->bin = find_versioned("/usr", "pgsql-%", major);
	if (!c->bin)
		c->bin = find_in_path();
	if (c->bin)
		return true;
	if (major)
		return mr_fail(err, MR_POSTGRES_UNAVAILABLE, "The data in %s needs PostgreSQL %d, which is not installed", c->data, major);
	return mr_fail(err, MR_POSTGRES_UNAVAILABLE, "PostgreSQL is not installed (14 or newer; Debian: apt install postgresql)");
}

static bool find_user(struct mr_cluster *c, struct mr_error *err)
{
	c->uid = geteuid();
	c->gid = getegid();
	c->as_postgres = c->uid == 0;
	if (!c->as_postgres)
		return true;
	const struct passwd *pw = getpwnam("postgres");
	if (!pw)
		return mr_fail(
			err, MR_POSTGRES_UNAVAILABLE, "Postgres refuses to run as root and there is no user \"postgres\" to run it as");
	c->uid = pw->pw_uid;
	c->gid = pw->pw_gid;
	return true;
}

static bool fail_path(struct mr_error *err, const char *what, const char *path)
{
	enum mr_code code = errno == ENOSPC || errno == EDQUOT ? MR_DISK_FULL : MR_POSTGRES_UNAVAILABLE;
	return mr_fail(err, code, "%s %s: %s", what, path, strerror(errno));
}

/* Makes a folder that only the server's user may enter; one that is there must be so already, and no link. */
static bool private_dir(const struct mr_cluster *c, const char *path, struct mr_error *err)
{
	if (mkdir(path, 0700) == 0)
		return !c->as_postgres || chown(path, c->uid, c->gid) == 0 || fail_path(err, "Cannot give away", path);
	if (errno != EEXIST)
		return fail_path(err, "Cannot make", path);
	struct stat st;
	if (lstat(path, &st))
		return fail_path(err, "Cannot read", path);
	if (!S_ISDIR(st.st_mode) || (st.st_uid != c->uid && st.st_uid != geteuid()))
		return mr_fail(err, MR_POSTGRES_UNAVAILABLE, "%s is not a folder of this user", path);
	if ((st.st_mode & 077) && chmod(path, 0700))
		return fail_path(err, "Cannot close", path);
	return true;
}

static bool choose_socket_dir(struct mr_cluster *c, struct mr_error *err)
{
	if (strlen(c->dir) <= SOCKET_DIR_MAX) {
		c->socket_dir = mr_strdup(c->dir);
		return true;
	}
	const char *base = getenv("XDG_RUNTIME_DIR");
	if (!base || *base != '/' || strlen(base) > SOCKET_DIR_MAX - 30 || access(base, W_OK))
		base = "/tmp";
	c->socket_dir = mr_printf("%s/millrace-%016" PRIx64, base, mr_hash_fixed(c->dir, strlen(c->dir), c->uid));
	return private_dir(c, c->socket_dir, err);
}

/* ---- running programs as the server's user ---- */

struct command {
	const char *argv[ARGS_MAX];
	int n;
};

static void arg(struct command *cmd, const char *text)
{
	MR_ASSERT(cmd->n < ARGS_MAX - 1);
	cmd->argv[cmd->n++] = text;
}

/* As root: user postgres, who keeps the right to walk through closed parents of dir (a checkout in /root), where we have it to give. */
static void as_server_user(struct command *cmd, const struct mr_cluster *c, bool dies_with_us)
{
	if (!c->as_postgres)
		return;
	arg(cmd, "setpriv");
	arg(cmd, "--reuid=postgres");
	arg(cmd, "--regid=postgres");
	arg(cmd, "--init-groups");
	if (prctl(PR_CAPBSET_READ, CAP_DAC_OVERRIDE, 0, 0, 0) == 1 && prctl(PR_CAPBSET_READ, CAP_DAC_READ_SEARCH, 0, 0, 0) == 1) {
		arg(cmd, "--inh-caps=+dac_override,+dac_read_search");
		arg(cmd, "--ambient-caps=+dac_override,+dac_read_search");
	}
	if (dies_with_us)
		arg(cmd, "--pdeathsig=INT");
}

/* A child with its output in the log. It leads a session of its own, so that Ctrl-C reaches it through us only, in our order. */
static int spawn(const struct mr_cluster *c, const struct command *cmd, int log, bool dies_with_us)
{
	pid_t parent = getpid(), pid = fork();
	if (pid)
		return pid;
	setsid();
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < 32; s++)
		signal(s, SIG_DFL);
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || chdir("/"))
		_exit(127);
	close_range(3, ~0u, 0);
	umask(077);
	if (!c->as_postgres && dies_with_us) {
		/* Kept across exec. Under setpriv it is set after the change of user, which would clear it. */
		prctl(PR_SET_PDEATHSIG, SIGINT);
		if (getppid() != parent)
			_exit(127);
	}
	execvp(cmd->argv[0], (char *const *)cmd->argv);
	_exit(127);
}

static int open_log(struct mr_cluster *c, struct mr_error *err)
{
	struct stat st;
	bool anew = stat(c->log, &st) == 0 && st.st_size > LOG_KEEP;
	int fd = open(c->log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (anew ? O_TRUNC : 0), 0600);
	if (fd < 0)
		fail_path(err, "Cannot write", c->log);
	return fd;
}

/* ---- what went wrong ---- */

/* The line that says why: the last with FATAL or PANIC, else with error, else the last at all. */
static char *telling_line(char *text)
{
	static const char *const marks[] = {"PANIC:  ", "FATAL:  ", "error: ", "ERROR:  ", "could not "};
	char *best = NULL, *last = NULL;
	size_t rank = MR_COUNT(marks);
	for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		last = line;
		for (size_t i = 0; i < MR_COUNT(marks) && i <= rank; i++) {
			char *at = strstr(line, marks[i]);
			if (at && (i < rank || !best)) {
				rank = i;
				best = at;
			}
		}
	}
	return best ? best : last;
}

static int lock_holder(const struct mr_cluster *c)
{
	char *path = mr_printf("%s/postmaster.pid", c->data), text[32] = "";
	FILE *f = fopen(path, "re");
	free(path);
	if (f && !fgets(text, sizeof(text), f))
		*text = 0;
	if (f)
		fclose(f);
	return atoi(text);
}

/* The log lies on the same disk, so its last words may be missing, and what failed may have tidied up: what is free tells more. */
static bool is_disk_full(const struct mr_cluster *c, const char *log, int64_t need)
{
	struct statvfs v;
	if (strstr(log, "No space left on device") || strstr(log, "Disk quota exceeded") || strstr(log, "File too large"))
		return true;
	return statvfs(c->dir, &v) == 0 && ((int64_t)(v.f_bavail * v.f_frsize) < need || (v.f_files && !v.f_favail));
}

/* From what was written to the log since `from`. */
static bool fail_from_log(const struct mr_cluster *c, int log, off_t from, const char *what, int64_t need, struct mr_error *err)
{
	char text[16384];
	struct stat st;
	if (fstat(log, &st) == 0 && st.st_size - from > (off_t)sizeof(text) - 1)
		from = st.st_size - (off_t)sizeof(text) + 1;
	ssize_t n = pread(log, text, sizeof(text) - 1, from);
	text[MR_MAX(n, 0)] = 0;
	if (strstr(text, "\"postmaster.pid\" already exists"))
		return mr_fail(
			err, MR_POSTGRES_UNAVAILABLE, "The private Postgres in %s is already in use by process %d", c->dir, lock_holder(c));
	if (is_disk_full(c, text, need))
		return mr_fail(err, MR_DISK_FULL, "%s: the disk is full (%s)%s", what, c->dir,
			need == DISK_TO_MAKE ? "; about 64 MB are needed" : "");
	const char *line = telling_line(text);
	return mr_fail(err, MR_POSTGRES_UNAVAILABLE, "%s: %s (see %s)", what, line ? line : "it says nothing", c->log);
}

/* ---- initdb ---- */

static const char configuration[] = "\n# millrace\n"
				    "listen_addresses = ''\n"
				    "fsync = on\n"
				    "synchronous_commit = on\n"
				    "max_connections = 200\n"
				    "max_prepared_transactions = 10\n"
				    "shared_buffers = 128MB\n"
				    "logging_collector = off\n"
				    "log_destination = 'stderr'\n"
				    "log_line_prefix = '%m [%p] '\n"
				    "log_min_messages = warning\n"
				    "log_min_error_statement = panic\n"
				    "timezone = 'UTC'\n"
				    "log_timezone = 'UTC'\n";

static bool configure(const char *data, struct mr_error *err)
{
	char *path = mr_printf("%s/postgresql.conf", data);
	FILE *f = fopen(path, "ae");
	bool ok = f && fputs(configuration, f) >= 0 && fflush(f) == 0 && fsync(fileno(f)) == 0;
	if (!ok)
		fail_path(err, "Cannot write", path);
	if (f)
		fclose(f);
	free(path);
	return ok;
}

/* Removes what an interrupted initdb left: files and folders below path. */
static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		char *below = mr_printf("%s/%s", path, e->d_name);
		struct stat st;
		if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
			remove_tree(below);
		else
			unlink(below);
		free(below);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static bool run_initdb(struct mr_cluster *c, const char *to, struct mr_error *err)
{
	struct command cmd = {0};
	char *initdb = mr_printf("%s/initdb", c->bin);
	as_server_user(&cmd, c, false);
	const char *const args[] = {initdb, "-D", to, "-U", ROLE, "-A", "trust", "--encoding=UTF8", "--locale=C", "--no-instructions"};
	for (size_t i = 0; i < MR_COUNT(args); i++)
		arg(&cmd, args[i]);
	int log = open_log(c, err), status = 0;
	if (log < 0) {
		free(initdb);
		return false;
	}
	off_t from = lseek(log, 0, SEEK_END);
	int pid = spawn(c, &cmd, log, false);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	bool ok = pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ok)
		fail_from_log(c, log, from, "The private Postgres cannot be made", DISK_TO_MAKE, err);
	close(log);
	free(initdb);
	return ok;
}

static bool make_data(struct mr_cluster *c, struct mr_error *err)
{
	if (data_major(c))
		return true;
	if (access(c->data, F_OK) == 0)
		return mr_fail(err, MR_POSTGRES_UNAVAILABLE, "%s is there but holds no data of Postgres; move it away", c->data);
	char *fresh = mr_printf("%s.new", c->data);
	remove_tree(fresh);
	bool ok = run_initdb(c, fresh, err) && configure(fresh, err);
	if (ok && rename(fresh, c->data))
		ok = fail_path(err, "Cannot rename", fresh);
	if (!ok)
		remove_tree(fresh);
	free(fresh);
	return ok;
}

/* ---- start ---- */

/* The server writes its state to the eighth line of its lock file. */
static bool is_ready(const struct mr_cluster *c)
{
	char *path = mr_printf("%s/postmaster.pid", c->data), line[256];
	FILE *f = fopen(path, "re");
	free(path);
	if (!f)
		return false;
	bool ready = false;
	for (int i = 1; i <= 8 && fgets(line, sizeof(line), f); i++) {
		if (i == 1 && atoi(line) != c->pid)
			break;
		ready = i == 8 && !strncmp(line, "ready", 5);
	}
	fclose(f);
	return ready;
}

static bool has_exited(struct mr_cluster *c)
{
	int status;
	if (!c->reaped && c->pid > 0) {
		int pid = waitpid(c->pid, &status, WNOHANG);
		c->reaped = pid == c->pid || (pid < 0 && errno == ECHILD);
	}
	return c->reaped;
}

static bool wait_ready(struct mr_cluster *c, int log, off_t from, struct mr_error *err)
{
	for (int64_t until = mr_mono_us() + START_MS * 1000ll; !is_ready(c); sleep_us(2000)) {
		if (has_exited(c))
			return fail_from_log(c, log, from, "The private Postgres does not start", DISK_TO_START, err);
		if (mr_mono_us() > until)
			return mr_fail(err, MR_POSTGRES_UNAVAILABLE, "The private Postgres is not ready after %d seconds (see %s)",
				START_MS / 1000, c->log);
	}
	return true;
}

static bool run_server(struct mr_cluster *c, struct mr_error *err)
{
	int log = open_log(c, err);
	if (log < 0)
		return false;
	char *server = mr_printf("%s/postgres", c->bin);
	struct command cmd = {0};
	as_server_user(&cmd, c, true);
	const char *const args[] = {server, "-D", c->data, "-k", c->socket_dir, "-c", "listen_addresses=", "-c", "port=5432", "-c",
		"unix_socket_permissions=0700"};
	for (size_t i = 0; i < MR_COUNT(args); i++)
		arg(&cmd, args[i]);
	off_t from = lseek(log, 0, SEEK_END);
	c->pid = spawn(c, &cmd, log, true);
	bool ok = c->pid > 0 ? wait_ready(c, log, from, err) : fail_path(err, "Cannot start", server);
	close(log);
	free(server);
	return ok;
}

static void conninfo_value(struct mr_buf *b, const char *text)
{
	mr_buf_char(b, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			mr_buf_char(b, '\\');
		mr_buf_char(b, *text);
	}
	mr_buf_char(b, '\'');
}

static void conninfo_of(const struct mr_cluster *c, struct mr_buf *b, const char *database)
{
	mr_buf_z(b, "host=");
	conninfo_value(b, c->socket_dir);
	mr_buf_printf(b, " port=5432 user=" ROLE " dbname=%s", database);
}

/* Our database, made when it is not there. */
static bool ensure_database(struct mr_cluster *c, struct mr_error *err)
{
	struct mr_buf info = {0};
	conninfo_of(c, &info, "postgres");
	PGconn *conn = mr_sync_open(info.p, err);
	mr_buf_fini(&info);
	if (!conn)
		return false;
	bool there = false;
	bool ok = mr_sync_asks(conn, err, "select exists (select from pg_database where datname = '" DATABASE "')", &there) &&
		  (there || mr_sync_run(conn, err, "create database " DATABASE));
	PQfinish(conn);
	return ok;
}

struct mr_cluster *mr_cluster_start(const char *dir, struct mr_buf *out, struct mr_error *err)
{
	MR_ASSERT(*dir == '/');
	struct mr_cluster *c = mr_alloc(sizeof(*c));
	c->dir = mr_strdup(dir);
	c->data = mr_printf("%s/data", dir);
	c->log = mr_printf("%s/postgres.log", dir);
	bool ok = find_user(c, err) && private_dir(c, dir, err) && find_binaries(c, err) && choose_socket_dir(c, err) &&
		  make_data(c, err) && run_server(c, err) && ensure_database(c, err);
	if (!ok) {
		mr_cluster_stop(&c);
		return NULL;
	}
	conninfo_of(c, out, DATABASE);
	return c;
}

int mr_cluster_pid(const struct mr_cluster *c)
{
	return c->pid;
}

/* ---- stop ---- */

static bool wait_exit(struct mr_cluster *c, int ms)
{
	for (int64_t until = mr_mono_us() + ms * 1000ll; !has_exited(c); sleep_us(2000)) {
		if (mr_mono_us() > until)
			return false;
	}
	return true;
}

void mr_cluster_stop(struct mr_cluster **cp)
{
	struct mr_cluster *c = *cp;
	*cp = NULL;
	if (!c)
		return;
	/* Fast; then without a checkpoint (it recovers at the next start); then for good. */
	static const int signals[] = {SIGINT, SIGQUIT, SIGKILL};
	for (size_t i = 0; c->pid > 0 && !has_exited(c) && i < MR_COUNT(signals); i++) {
		kill(c->pid, signals[i]);
		if (wait_exit(c, i == 0 ? STOP_MS : 5000))
			break;
	}
	release(c);
}
