#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/ground/log.h"

struct mr_job {
	struct mr_loop *loop;
	char *name;
	struct mr_watch *watch;
	pid_t pid;
	int fd;
	struct mr_buf out;
	mr_job_work *work;
	mr_job_cb *done;
	void *arg;
	int write_to;
};

struct mr_job *mr_job_new(struct mr_loop *loop, const char *name)
{
	struct mr_job *j = mr_alloc(sizeof *j);
	j->loop = loop;
	j->name = mr_strdup(name);
	j->fd = -1;
	return j;
}

bool mr_job_running(const struct mr_job *j)
{
	return j->pid != 0;
}

/* Waits for the copy, which has closed its pipe or was killed, and forgets it. */
static int collect(struct mr_job *j)
{
	int status = 0;
	while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR)
		;
	mr_watch_delete(&j->watch);
	close(j->fd);
	j->fd = -1;
	j->pid = 0;
	return status;
}

static void stop(struct mr_job *j)
{
	if (!j->pid)
		return;
	kill(-j->pid, SIGKILL);
	collect(j);
	mr_buf_reset(&j->out);
}

void mr_job_delete(struct mr_job **jp)
{
	struct mr_job *j = *jp;
	*jp = NULL;
	if (!j)
		return;
	stop(j);
	mr_buf_fini(&j->out);
	free(j->name);
	free(j);
}

static void on_output(void *arg, int events)
{
	struct mr_job *j = arg;
	char *room = mr_buf_room(&j->out, 65536);
	ssize_t n = read(j->fd, room, 65536);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		j->out.n += (size_t)n;
		return;
	}
	int status = collect(j);
	struct mr_buf out = j->out;
	j->out = (struct mr_buf){0};
	mr_buf_add(&out, "", 0);
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ok && !(WIFEXITED(status) && WEXITSTATUS(status) == 1)) {
		mr_buf_printf(&out, "%s broke off: ", j->name);
		mr_exit_words(status, &out);
		mr_buf_char(&out, '\n');
	}
	j->done(ok, mr_buf_view(&out), j->arg);
	mr_buf_fini(&out);
}

/* In the copy. */
static int run_copy(void *arg)
{
	struct mr_job *j = arg;
	struct mr_buf out = {0};
	bool ok = j->work(&out, j->arg);
	for (size_t at = 0; at < out.n;) {
		ssize_t n = write(j->write_to, out.p + at, out.n - at);
		if (n < 0 && errno != EINTR)
			return 1;
		at += n > 0 ? (size_t)n : 0;
	}
	mr_buf_fini(&out);
	return ok ? 0 : 1;
}

void mr_job_start(struct mr_job *j, mr_job_work *work, mr_job_cb *done, void *arg)
{
	int p[2];
	struct mr_error err;
	stop(j);
	j->work = work;
	j->done = done;
	j->arg = arg;
	if (pipe2(p, O_CLOEXEC) != 0)
		mr_die("no pipe can be opened: %s", strerror(errno));
	j->write_to = p[1];
	j->pid = mr_spawn_fn(run_copy, j, &err);
	close(p[1]);
	if (j->pid < 0)
		mr_die("%s", err.message);
	j->fd = p[0];
	j->watch = mr_watch_new(j->loop, j->fd, MR_READ, on_output, j);
}
