#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool mr_path_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

bool mr_path_is_dir(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool mr_path_fail(struct mr_error *err, int e, const char *what, const char *path)
{
	if (e == ENOSPC || e == EDQUOT)
		return mr_fail(err, MR_DISK_FULL, "The disk is full: %s %s. Free some space and start again.", what, path);
	return mr_fail(err, e == ENOENT ? MR_NOT_FOUND : MR_INTERNAL, "Millrace %s %s: %s.", what, path, strerror(e));
}

bool mr_file_read(const char *path, struct mr_buf *out, struct mr_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return mr_path_fail(err, errno, "cannot read", path);
	for (;;) {
		char *room = mr_buf_room(out, 65536);
		ssize_t n = read(fd, room, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int e = errno;
			close(fd);
			return mr_path_fail(err, e, "cannot read", path);
		}
		if (n == 0)
			break;
		out->n += (size_t)n;
	}
	close(fd);
	mr_buf_add(out, "", 0);
	return true;
}

static bool write_all(int fd, struct mr_str content)
{
	while (content.n) {
		ssize_t n = write(fd, content.p, content.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		content.p += n;
		content.n -= (size_t)n;
	}
	return true;
}

bool mr_file_write(const char *path, struct mr_str content, mode_t mode, struct mr_error *err)
{
	char *beside = mr_printf("%s.%d.new", path, (int)getpid());
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	bool ok = fd >= 0 && write_all(fd, content);
	int e = errno;
	if (fd >= 0 && close(fd) != 0 && ok) {
		ok = false;
		e = errno;
	}
	if (ok && rename(beside, path) != 0) {
		ok = false;
		e = errno;
	}
	if (!ok) {
		unlink(beside);
		mr_path_fail(err, e, "cannot write", path);
	}
	free(beside);
	return ok;
}

bool mr_file_update(const char *path, struct mr_str content, struct mr_error *err)
{
	struct mr_buf old = {0};
	struct mr_error none;
	bool same = mr_path_exists(path) && mr_file_read(path, &old, &none) && mr_str_eq(mr_buf_view(&old), content);
	mr_buf_fini(&old);
	return same || mr_file_write(path, content, 0644, err);
}

bool mr_file_copy(const char *from, const char *to, struct mr_error *err)
{
	struct mr_buf b = {0};
	bool ok = mr_file_read(from, &b, err) && mr_file_write(to, mr_buf_view(&b), 0644, err);
	mr_buf_fini(&b);
	return ok;
}

bool mr_dir_make(const char *path, mode_t mode, struct mr_error *err)
{
	char *copy = mr_strdup(path);
	bool ok = true;
	for (char *slash = copy + 1; ok; slash++) {
		slash = strchr(slash, '/');
		if (slash)
			*slash = 0;
		if (mkdir(copy, slash ? 0755 : mode) != 0 && errno != EEXIST)
			ok = mr_path_fail(err, errno, "cannot make the folder", copy);
		if (!slash)
			break;
		*slash = '/';
	}
	free(copy);
	if (ok && !mr_path_is_dir(path))
		return mr_fail(err, MR_INTERNAL, "%s is in the way: it is a file, and a folder is needed there.", path);
	return ok;
}

static void remove_at(int parent, const char *name)
{
	if (unlinkat(parent, name, 0) == 0 || errno != EISDIR)
		return;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *d; (d = readdir(dir));)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			remove_at(fd, d->d_name);
	closedir(dir);
	unlinkat(parent, name, AT_REMOVEDIR);
}

void mr_dir_remove(const char *path)
{
	remove_at(AT_FDCWD, path);
}

static int wanted(const struct dirent *d)
{
	return d->d_name[0] != '.' && strcmp(d->d_name, "node_modules") != 0;
}

/* One level: `rel` is "" or ends with a slash. */
static bool walk_level(const char *dir, const char *rel, mr_dir_visit *visit, void *arg)
{
	char *here = mr_printf("%s/%s", dir, rel);
	struct dirent **names = NULL;
	int n = scandir(here, &names, wanted, alphasort);
	bool go = true;
	for (int i = 0; i < n; i++) {
		char *below = mr_printf("%s%s", rel, names[i]->d_name);
		char *full = mr_printf("%s/%s", dir, below);
		struct stat st;
		if (go && stat(full, &st) == 0) {
			if (S_ISDIR(st.st_mode)) {
				char *deeper = mr_printf("%s/", below);
				go = walk_level(dir, deeper, visit, arg);
				free(deeper);
			} else if (S_ISREG(st.st_mode)) {
				go = visit(below, arg);
			}
		}
		free(full);
		free(below);
		free(names[i]);
	}
	free(names);
	free(here);
	return go;
}

bool mr_dir_walk(const char *dir, mr_dir_visit *visit, void *arg)
{
	return walk_level(dir, "", visit, arg);
}
