#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/ground/log.h"
#include "proto/ground/mem.h"

enum { QUIET_US = 50000, EVENTS = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR };

struct mr_sources {
	struct mr_loop *loop;
	struct mr_watch *watch;
	struct mr_timer *quiet;
	mr_sources_cb *cb;
	void *arg;
	char *app_dir, *skip;
	char **dir; /* by watch descriptor; NULL where there is none */
	int n_dir;
	int fd, changed;
	bool full; /* said already that there are too many folders */
};

/* Names of folders that hold no sources, and of editors' passing files. */
static bool ignored(const char *name)
{
	static const char *const names[] = {"node_modules", "_generated", "dist", "4913"};
	size_t n = strlen(name);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return name[0] == '.' || name[0] == '#' || name[n - 1] == '~' || (n > 4 && strcmp(name + n - 4, ".tmp") == 0);
}

static void remember(struct mr_sources *s, int wd, const char *path)
{
	if (wd >= s->n_dir) {
		int n = wd + 32;
		s->dir = mr_realloc(s->dir, (size_t)n * sizeof *s->dir);
		for (int i = s->n_dir; i < n; i++)
			s->dir[i] = NULL;
		s->n_dir = n;
	}
	free(s->dir[wd]);
	s->dir[wd] = mr_strdup(path);
}

static void add_folder(struct mr_sources *s, const char *path)
{
	if (strcmp(path, s->skip) == 0)
		return;
	int wd = inotify_add_watch(s->fd, path, EVENTS);
	if (wd < 0) {
		if (errno == ENOSPC && !s->full)
			mr_log(MR_WARN, "not all folders can be watched; raise fs.inotify.max_user_watches");
		s->full = s->full || errno == ENOSPC;
		return;
	}
	remember(s, wd, path);
	DIR *dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (ignored(d->d_name))
			continue;
		char *below = mr_printf("%s/%s", path, d->d_name);
		struct stat st;
		if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
			add_folder(s, below);
		free(below);
	}
	if (dir)
		closedir(dir);
}

static bool below_web(const struct mr_sources *s, const char *dir, const char *name)
{
	size_t n = strlen(s->app_dir);
	const char *rel = dir + n;
	return strncmp(rel, "/web", 4) == 0 ? rel[4] == 0 || rel[4] == '/' : !*rel && strcmp(name, "web") == 0;
}

static void on_event(struct mr_sources *s, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		s->changed |= MR_CHANGED_WEB | MR_CHANGED_CODE;
		add_folder(s, s->app_dir);
	}
	const char *dir = e->wd >= 0 && e->wd < s->n_dir ? s->dir[e->wd] : NULL;
	if (!dir)
		return;
	if (e->mask & IN_IGNORED) {
		free(s->dir[e->wd]);
		s->dir[e->wd] = NULL;
		return;
	}
	if (!e->len || ignored(e->name))
		return;
	char *path = mr_printf("%s/%s", dir, e->name);
	bool skipped = strcmp(path, s->skip) == 0;
	int kind = below_web(s, dir, e->name) ? MR_CHANGED_WEB : MR_CHANGED_CODE;
	/* A folder that appears may hold files already; a file that was created empty is told again when it is closed. */
	if (!skipped && (e->mask & IN_ISDIR) && (e->mask & (IN_CREATE | IN_MOVED_TO)))
		add_folder(s, path);
	if (!skipped && ((e->mask & IN_ISDIR) || !(e->mask & IN_CREATE)))
		s->changed |= kind;
	free(path);
}

static void on_readable(void *arg, int events)
{
	struct mr_sources *s = arg;
	_Alignas(struct inotify_event) char buf[16384];
	ssize_t n;
	while ((n = read(s->fd, buf, sizeof buf)) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)(void *)p;
			on_event(s, e);
			p += sizeof *e + e->len;
		}
	}
	if (s->changed)
		mr_timer_start(s->quiet, QUIET_US);
}

static void on_quiet(void *arg)
{
	struct mr_sources *s = arg;
	int changed = s->changed;
	s->changed = 0;
	s->cb(changed, s->arg);
}

struct mr_sources *mr_sources_new(
	struct mr_loop *loop, const char *app_dir, const char *skip, mr_sources_cb *cb, void *arg, struct mr_error *err)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0) {
		mr_fail(err, MR_INTERNAL, "Changes of files cannot be watched: %s; raise fs.inotify.max_user_instances.", strerror(errno));
		return NULL;
	}
	struct mr_sources *s = mr_alloc(sizeof *s);
	s->loop = loop;
	s->fd = fd;
	s->cb = cb;
	s->arg = arg;
	s->app_dir = mr_strdup(app_dir);
	s->skip = mr_strdup(skip);
	s->quiet = mr_timer_new(loop, on_quiet, s);
	s->watch = mr_watch_new(loop, fd, MR_READ, on_readable, s);
	add_folder(s, app_dir);
	return s;
}

void mr_sources_delete(struct mr_sources **sp)
{
	struct mr_sources *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	mr_watch_delete(&s->watch);
	mr_timer_delete(&s->quiet);
	close(s->fd);
	for (int i = 0; i < s->n_dir; i++)
		free(s->dir[i]);
	free(s->dir);
	free(s->app_dir);
	free(s->skip);
	free(s);
}
