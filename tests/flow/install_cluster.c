/* The private cluster: made, found again, in use, killed, damaged, without room, in a place with a long name. */
#include "txn_rig.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/ground/log.h"

static char base[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int start(void **state)
{
	mr_log_init("test", MR_ERROR);
	snprintf(base, sizeof(base), "/tmp/millrace-cluster-XXXXXX");
	assert_non_null(mkdtemp(base));
	return 0;
}

static int stop(void **state)
{
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static struct mr_cluster *up(const char *dir, struct mr_buf *info)
{
	struct mr_error err;
	struct mr_cluster *c = mr_cluster_start(dir, info, &err);
	if (!c)
		fail_msg("%s", err.message);
	return c;
}

static void answers(const struct mr_buf *info, const char *sql, const char *expected)
{
	struct mr_error err;
	PGconn *conn = mr_sync_open(info->p, &err);
	if (!conn)
		fail_msg("%s", err.message);
	PGresult *res = mr_sync_query(conn, &err, sql, 0, NULL);
	if (!res)
		fail_msg("%s", err.message);
	if (expected)
		assert_string_equal(PQgetvalue(res, 0, 0), expected);
	PQclear(res);
	PQfinish(conn);
}

static void made_and_found_again(void **state)
{
	char *dir = mr_printf("%s/it's a \\ place", base);
	struct mr_buf info = {0};
	struct mr_error err;
	struct mr_cluster *c = up(dir, &info);
	answers(&info, "select current_setting('server_encoding') || current_setting('lc_collate') || current_setting('listen_addresses')",
		"UTF8C");
	answers(&info, "create table public.kept as select 1 as x", NULL);
	struct stat st;
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	/* in use */
	struct mr_buf second = {0};
	char pid[32];
	snprintf(pid, sizeof(pid), "process %d", mr_cluster_pid(c));
	assert_null(mr_cluster_start(dir, &second, &err));
	assert_non_null(strstr(err.message, "already in use"));
	assert_non_null(strstr(err.message, pid));
	mr_cluster_stop(&c);
	/* again, at once */
	mr_buf_reset(&info);
	int64_t from = mr_mono_us();
	c = up(dir, &info);
	print_message("started again in %lld ms\n", (long long)(mr_mono_us() - from) / 1000);
	assert_true(mr_mono_us() - from < 3000000);
	answers(&info, "select x from public.kept", "1");
	/* killed without a chance to clean up */
	kill(mr_cluster_pid(c), SIGKILL);
	assert_int_equal(waitpid(mr_cluster_pid(c), NULL, 0), mr_cluster_pid(c));
	mr_cluster_stop(&c);
	mr_buf_reset(&info);
	c = up(dir, &info);
	answers(&info, "select x from public.kept", "1");
	mr_cluster_stop(&c);
	mr_buf_fini(&info);
	mr_buf_fini(&second);
	free(dir);
}

static void long_names(void **state)
{
	char *dir = mr_printf("%s/%0100d", base, 7);
	struct mr_buf info = {0};
	struct mr_cluster *c = up(dir, &info);
	assert_null(strstr(info.p, dir));
	answers(&info, "select 1", "1");
	mr_cluster_stop(&c);
	/* the folder of the socket is left empty: the next start uses it again */
	mr_buf_reset(&info);
	c = up(dir, &info);
	mr_cluster_stop(&c);
	char *socket_dir = strstr(info.p, "'/") + 1;
	socket_dir[strcspn(socket_dir, "'")] = 0;
	assert_int_equal(rmdir(socket_dir), 0);
	mr_buf_fini(&info);
	free(dir);
}

static void fails_with_a_sentence(void **state)
{
	struct mr_error err;
	struct mr_buf info = {0};
	/* not ours */
	char *dir = mr_printf("%s/strange", base), *data = mr_printf("%s/data", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mkdir(data, 0700), 0);
	assert_null(mr_cluster_start(dir, &info, &err));
	assert_non_null(strstr(err.message, "holds no data of Postgres"));
	free(data);
	free(dir);
	/* of a version that is not here */
	dir = mr_printf("%s/old", base);
	data = mr_printf("%s/data", dir);
	char *version = mr_printf("%s/PG_VERSION", data);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mkdir(data, 0700), 0);
	FILE *f = fopen(version, "w");
	fputs("97\n", f);
	fclose(f);
	assert_null(mr_cluster_start(dir, &info, &err));
	assert_int_equal(err.code, MR_POSTGRES_UNAVAILABLE);
	free(version);
	free(data);
	free(dir);
	/* no folder above it */
	dir = mr_printf("%s/a/b", base);
	assert_null(mr_cluster_start(dir, &info, &err));
	assert_non_null(strstr(err.message, "No such file"));
	free(dir);
	/* no room: files may not grow */
	dir = mr_printf("%s/full", base);
	struct rlimit was, small = {1 << 20, RLIM_INFINITY};
	getrlimit(RLIMIT_FSIZE, &was);
	setrlimit(RLIMIT_FSIZE, &small);
	signal(SIGXFSZ, SIG_IGN);
	struct mr_cluster *c = mr_cluster_start(dir, &info, &err);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_null(c);
	print_message("%s\n", err.message);
	assert_int_equal(err.code, MR_DISK_FULL);
	/* and with room again it works: nothing half-made stayed */
	c = up(dir, &info);
	mr_cluster_stop(&c);
	free(dir);
	mr_buf_fini(&info);
}

/* Whoever starts it takes it along, even by kill -9. */
static void dies_with_us(void **state)
{
	char *dir = mr_printf("%s/orphan", base);
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	/* the orphan comes to us, so that its end can be seen */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int child = fork();
	if (child == 0) {
		struct mr_buf info = {0};
		struct mr_error err;
		struct mr_cluster *c = mr_cluster_start(dir, &info, &err);
		int pid = c ? mr_cluster_pid(c) : -1;
		if (write(pipes[1], &pid, sizeof(pid)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	int pid = 0;
	assert_int_equal(read(pipes[0], &pid, sizeof(pid)), sizeof(pid));
	assert_true(pid > 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	alarm(20);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	alarm(0);
	close(pipes[0]);
	close(pipes[1]);
	free(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_and_found_again),
		cmocka_unit_test(long_names),
		cmocka_unit_test(fails_with_a_sentence),
		cmocka_unit_test(dies_with_us),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
