#include "fault.h"

#ifdef MR_FAULTS
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "atomic.h"
#include "log.h"

struct slot {
	mr_word armed, done, passed, stopped;
	uint64_t pad[4];
};
_Static_assert(sizeof(struct slot) == 64, "tests write this layout");

/* NULL: no test is watching. The children inherit the variable, not the mapping, for they are other programs. */
static struct slot *mapped;

static void map(void)
{
	const char *path = getenv("MR_FAULTS_FILE");
	if (!path)
		return;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	size_t size = (1 + MR_FAULT_POINTS) * sizeof(struct slot);
	if (fd < 0 || lseek(fd, 0, SEEK_END) < (off_t)size)
		mr_die("MR_FAULTS_FILE names no file of %zu bytes", size);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		mapped = p;
}

static struct slot *slots(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, map);
	return mapped;
}

enum mr_fault_action mr_fault_at(enum mr_fault point)
{
	struct slot *all = slots();
	if (!all)
		return MR_FAULT_NONE;
	struct slot *s = &all[1 + point];
	atomic_fetch_add(&s->passed, 1);
	uint64_t action = mr_load_relaxed(&s->armed);
	if (!action || !atomic_compare_exchange_strong(&s->armed, &action, MR_FAULT_NONE))
		return MR_FAULT_NONE;
	atomic_fetch_add(&s->done, 1);
	if (action == MR_FAULT_KILL)
		raise(SIGKILL);
	if (action == MR_FAULT_STOP) {
		mr_store_release(&s->stopped, (uint64_t)getpid());
		raise(SIGSTOP);
	}
	return (enum mr_fault_action)action;
}

int64_t mr_fault_clock_us(void)
{
	struct slot *all = slots();
	return all ? (int64_t)mr_load_acquire(&all[0].armed) : 0;
}

size_t mr_fault_turn(void)
{
	struct slot *all = slots();
	return all ? (size_t)mr_load_acquire(&all[0].done) : 0;
}

int64_t mr_fault_large(void)
{
	struct slot *all = slots();
	return all ? (int64_t)mr_load_acquire(&all[0].passed) : 0;
}
#endif
