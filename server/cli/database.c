#include "database.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli.h"
#include "files.h"
#include "proto/schema.h"

enum { SOCKET_PATH_MOST = 80 }; /* of data_dir: the kernel takes 107 bytes for a socket's whole path */

static char *note_path(const struct mr_settings *s)
{
	return mr_printf("%s/run/database", s->data_dir);
}

bool mr_database_open(struct mr_database *db, const struct mr_settings *s, struct mr_error *err)
{
	*db = (struct mr_database){0};
	if (*s->database_url) {
		mr_buf_z(&db->conninfo, s->database_url);
		return true;
	}
	char *dir = mr_printf("%s/pg", s->data_dir), *note = note_path(s);
	db->cluster = mr_cluster_start(dir, &db->conninfo, err);
	bool ok = db->cluster && mr_file_write(note, mr_buf_view(&db->conninfo), 0600, err);
	if (!ok)
		mr_database_close(db, s);
	free(dir);
	free(note);
	return ok;
}

void mr_database_close(struct mr_database *db, const struct mr_settings *s)
{
	if (db->cluster) {
		char *note = note_path(s);
		unlink(note);
		free(note);
		mr_cluster_stop(&db->cluster);
	}
	mr_buf_fini(&db->conninfo);
}

bool mr_database_running(const struct mr_settings *s, struct mr_buf *conninfo)
{
	struct mr_error none;
	if (*s->database_url) {
		mr_buf_z(conninfo, s->database_url);
		return true;
	}
	/* The note counts only while a supervisor holds the data folder. */
	char *lock = mr_printf("%s/lock", s->data_dir), *note = note_path(s);
	int fd = open(lock, O_RDONLY | O_CLOEXEC);
	bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
	if (fd >= 0)
		close(fd);
	bool ok = held && mr_path_exists(note) && mr_file_read(note, conninfo, &none);
	free(lock);
	free(note);
	return ok;
}

bool mr_database_plan(const char *conninfo, const char *build_dir, struct mr_buf *sql, struct mr_error *err)
{
	char *path = mr_printf("%s/manifest.json", build_dir);
	struct mr_buf json = {0};
	struct mr_app *app = NULL;
	bool ok =
		mr_file_read(path, &json, err) && (app = mr_app_read(mr_buf_view(&json), err)) && mr_install_plan(conninfo, app, sql, err);
	if (app)
		mr_app_drop(&app);
	mr_buf_fini(&json);
	free(path);
	return ok;
}

bool mr_database_apply(const char *conninfo, const struct mr_settings *s, struct mr_str sql, struct mr_error *err)
{
	return (!sql.n || mr_install_apply(conninfo, sql, s->migrate_lock_timeout, err)) &&
	       mr_install_settings(conninfo, s->capture_max_rows, s->capture_max_bytes, (int)s->log_retention, s->auth_token_max_age, err);
}

static bool make_folders(const struct mr_settings *s, struct mr_error *err)
{
	if (strlen(s->data_dir) > SOCKET_PATH_MOST)
		return mr_fail(err, MR_BAD_VALUE,
			"The path of data_dir is longer than %d characters, too long for the sockets in it; use a shorter one: %s.",
			SOCKET_PATH_MOST, s->data_dir);
	char *run = mr_printf("%s/run", s->data_dir), *app = mr_printf("%s/app", s->data_dir);
	bool ok = mr_dir_make(s->data_dir, 0700, err) && mr_dir_make(run, 0700, err) && mr_dir_make(app, 0755, err);
	free(run);
	free(app);
	return ok;
}

int mr_data_dir_lock(const struct mr_settings *s, struct mr_error *err)
{
	if (!make_folders(s, err))
		return -1;
	char *path = mr_printf("%s/lock", s->data_dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		mr_path_fail(err, errno, "cannot open", path);
	} else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		char pid[32] = "";
		ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
		mr_fail(err, MR_INTERNAL, "Millrace is already running on %s as process %.*s; stop it or give another --data-dir.",
			s->data_dir, n > 0 ? (int)strcspn(pid, "\n") : 1, n > 0 ? pid : "?");
		close(fd);
		fd = -1;
	} else {
		char pid[32];
		int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
		if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n) {
			mr_path_fail(err, errno, "cannot write", path);
			close(fd);
			fd = -1;
		}
	}
	free(path);
	return fd;
}
