#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/ground/loop.h"

enum { EXIT_TIME = 77, EXIT_MEMORY = 78 }; /* how a worker says which limit ended it */

/* First steps of every child. The parent may have died before prctl, so it is asked once more. */
static void become_child(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	setpgid(0, 0);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
}

/* A descriptor that gives this text and then its end, or -1. */
static int text_fd(struct mr_str text)
{
	if (!text.n)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fd = memfd_create("input", MFD_CLOEXEC);
	if (fd >= 0 && (write(fd, text.p, text.n) != (ssize_t)text.n || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void exec_child(const struct mr_spawn *s)
{
	int in = text_fd(s->input);
	if (in < 0 || dup2(in, STDIN_FILENO) < 0)
		_exit(127);
	if (s->out >= 0 && dup2(s->out, STDOUT_FILENO) < 0)
		_exit(127);
	if (s->err >= 0 && dup2(s->err, STDERR_FILENO) < 0)
		_exit(127);
	if (s->cwd && chdir(s->cwd) != 0)
		_exit(127);
	if (s->node_path)
		setenv("NODE_PATH", s->node_path, 1);
	if (s->tool) {
		unsetenv("MILLRACE_AUTH_SECRET");
		unsetenv("MILLRACE_DATABASE_URL");
		unsetenv("DATABASE_URL");
	}
	execv(s->argv[0], (char *const *)s->argv);
	_exit(127);
}

pid_t mr_spawn(const struct mr_spawn *s, struct mr_error *err)
{
	if (access(s->argv[0], X_OK) != 0) {
		mr_fail(err, MR_INTERNAL, "%s cannot be run: %s.", s->argv[0], strerror(errno));
		return -1;
	}
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		become_child(parent);
		exec_child(s);
	}
	if (pid < 0)
		mr_fail(err, MR_INTERNAL, "No further process can be started: %s.", strerror(errno));
	else
		setpgid(pid, pid);
	return pid;
}

pid_t mr_spawn_fn(int (*fn)(void *arg), void *arg, struct mr_error *err)
{
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		become_child(parent);
		_exit(fn(arg));
	}
	if (pid < 0)
		mr_fail(err, MR_INTERNAL, "No further process can be started: %s.", strerror(errno));
	else
		setpgid(pid, pid);
	return pid;
}

/* Reads what is there; closes the descriptor at its end. */
static void drain(struct pollfd *p, struct mr_buf *to)
{
	if (p->fd < 0 || !p->revents)
		return;
	char *room = mr_buf_room(to, 65536);
	ssize_t n = read(p->fd, room, 65536);
	if (n > 0) {
		to->n += (size_t)n;
		mr_buf_add(to, "", 0);
	} else if (n == 0 || errno != EINTR) {
		close(p->fd);
		p->fd = -1;
	}
}

bool mr_run(const struct mr_spawn *s, int timeout_ms, struct mr_buf *out, struct mr_buf *errors, int *status, struct mr_error *err)
{
	int o[2], e[2];
	if (pipe2(o, O_CLOEXEC) != 0)
		return mr_fail(err, MR_INTERNAL, "No pipe can be opened: %s.", strerror(errno));
	if (pipe2(e, O_CLOEXEC) != 0) {
		close(o[0]);
		close(o[1]);
		return mr_fail(err, MR_INTERNAL, "No pipe can be opened: %s.", strerror(errno));
	}
	struct mr_spawn piped = *s;
	piped.out = o[1];
	piped.err = e[1];
	pid_t pid = mr_spawn(&piped, err);
	close(o[1]);
	close(e[1]);
	struct pollfd p[2] = {{.fd = o[0], .events = POLLIN}, {.fd = e[0], .events = POLLIN}};
	int64_t deadline = mr_mono_us() + (int64_t)timeout_ms * 1000;
	bool late = false;
	while (pid > 0 && !late && (p[0].fd >= 0 || p[1].fd >= 0)) {
		int64_t left = (deadline - mr_mono_us()) / 1000;
		late = left <= 0;
		if (!late && poll(p, 2, (int)left) > 0) {
			drain(&p[0], out);
			drain(&p[1], errors);
		}
	}
	for (int i = 0; i < 2; i++)
		if (p[i].fd >= 0)
			close(p[i].fd);
	if (pid < 0)
		return false;
	if (late)
		kill(-pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	if (late)
		return mr_fail(err, MR_TIME_LIMIT, "%s did not end within %d seconds and was stopped.", s->argv[0], timeout_ms / 1000);
	return true;
}

void mr_exit_words(int status, struct mr_buf *out)
{
	if (WIFSIGNALED(status))
		mr_buf_printf(out, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == EXIT_TIME)
		mr_buf_z(out, "time limit: a function computed longer than function_time_limit");
	else if (WEXITSTATUS(status) == EXIT_MEMORY)
		mr_buf_z(out, "memory limit: a function used more than worker_memory_limit");
	else
		mr_buf_printf(out, "exit code %d", WEXITSTATUS(status));
}
