/* The ring between processes that are stopped, continued and killed at any instruction, in the middle of a record too: what is read is
 * whole, in order and of the life that the lane is in, what was left pending stays so, and the lane serves the next one. */
#include "tests/unit/ring_records.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/ground/atomic.h"

enum { LANES = 2, LATE = 3 };

/* How far a child has come, told before and after each step. */
struct progress {
	mr_word publishing, published, flipping, flipped;
};

struct child {
	pid_t pid;
	struct ring_reader reader;
	struct progress *progress;
	uint64_t until; /* so many records read, then it may be killed */
	bool stopped;
};

struct torture {
	struct mr_ring *ring;
	int fd;
	struct child children[LANES];
	uint64_t random, torn;
};

static void write_until_killed(int fd, const struct child *c)
{
	const char *why;
	struct progress *p = c->progress;
	struct ring_record r = {(uint32_t)c->reader.lane, c->reader.life, 0};
	uint64_t at[LATE];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct mr_ring *w = mr_ring_attach(fd, c->reader.lane, &why);
	if (!w)
		_exit(1);
	for (;;) {
		r.number++;
		if (r.number > LATE) {
			struct ring_record late = {r.lane, r.life, r.number - LATE};
			mr_store_release(&p->flipping, late.number);
			if (ring_end(late) != MR_SLOT_PENDING)
				mr_ring_flip(w, at[late.number % LATE], ring_end(late));
			mr_store_release(&p->flipped, late.number);
		}
		mr_store_release(&p->publishing, r.number);
		at[r.number % LATE] = ring_write(w, r);
		mr_store_release(&p->published, r.number);
		/* Most lives give the reader a turn now and then: several that never do leave it none where cores are few. */
		if (r.life % 4 && ring_seed(r) % 16 == 0)
			usleep(1);
	}
}

static void begin(struct torture *t, struct child *c)
{
	c->until = c->reader.got + ring_random(&t->random, 8);
	*c->progress = (struct progress){0};
	c->stopped = false;
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0)
		write_until_killed(t->fd, c);
}

static void check_frozen(const struct child *c)
{
	const struct ring_reader *r = &c->reader;
	uint64_t published = mr_load_acquire(&c->progress->published), publishing = mr_load_acquire(&c->progress->publishing);
	uint64_t flipped = mr_load_acquire(&c->progress->flipped), flipping = mr_load_acquire(&c->progress->flipping);
	/* Between the tail and its word about it there is a moment in which a child may be stopped. */
	assert_true(r->missed || r->last == published || r->last == publishing);
	for (size_t i = 0; i < RING_SEEN; i++) {
		const struct ring_seen *s = &r->seen[i];
		if (!s->position || s->record.life != r->life)
			continue;
		if (s->record.number <= flipped)
			assert_int_equal(s->state, ring_end(s->record));
		else if (s->record.number > flipping)
			assert_int_equal(s->state, MR_SLOT_PENDING);
	}
}

static void wait_for(pid_t pid, int options)
{
	int status;
	assert_int_equal(waitpid(pid, &status, options), pid);
	assert_true(WIFSTOPPED(status) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
}

static void stop(struct child *c)
{
	kill(c->pid, SIGSTOP);
	wait_for(c->pid, WUNTRACED);
	c->stopped = true;
	ring_drain(&c->reader);
	check_frozen(c);
}

/* Dead, in the middle of whatever it was at; another one gets the lane. */
static void replace(struct torture *t, struct child *c)
{
	kill(c->pid, SIGKILL);
	wait_for(c->pid, 0);
	ring_drain(&c->reader);
	check_frozen(c);
	t->torn += mr_load_acquire(&c->progress->publishing) != mr_load_acquire(&c->progress->published);
	ring_next_life(&c->reader);
	begin(t, c);
}

static void take_some(struct torture *t, struct child *c)
{
	uint64_t most = ring_random(&t->random, 60);
	int code = 1;
	for (uint64_t n = 0; n < most && code; n++)
		code = ring_take(&c->reader);
	/* A child that has a core's turn to wait for gets ours. */
	if (!code)
		usleep(10);
	ring_look(&c->reader, &c->reader.seen[ring_random(&t->random, RING_SEEN)]);
}

static void a_turn(struct torture *t, struct child *c, unsigned *lives)
{
	take_some(t, c);
	uint64_t die = ring_random(&t->random, 40);
	if (c->stopped && die < 20) {
		kill(c->pid, SIGCONT);
		c->stopped = false;
	} else if (!c->stopped && die == 0) {
		stop(c);
	} else if ((die == 1 || die == 2) && c->reader.got >= c->until) {
		replace(t, c);
		++*lives;
	} else if (die == 3) {
		/* So that writers get far ahead also where there is one core. */
		usleep((useconds_t)ring_random(&t->random, 200));
	}
}

static void killed_and_stopped_writers(void **state)
{
	unsigned wanted = getenv("MILLRACE_LONG") ? 25000 : 1000, lives = 0;
	struct torture t = {.random = (uint64_t)time(NULL)};
	print_message("           seed %llu\n", (unsigned long long)t.random);
	t.ring = mr_ring_create(LANES, RING_TINY, &t.fd);
	assert_non_null(t.ring);
	struct progress *shared = mmap(NULL, LANES * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	for (int i = 0; i < LANES; i++) {
		t.children[i] = (struct child){.reader = {.ring = t.ring, .lane = i}, .progress = &shared[i]};
		begin(&t, &t.children[i]);
	}
	while (lives < wanted)
		a_turn(&t, &t.children[ring_random(&t.random, LANES)], &lives);
	uint64_t got = 0, lapped = 0;
	for (int i = 0; i < LANES; i++) {
		replace(&t, &t.children[i]);
		kill(t.children[i].pid, SIGKILL);
		wait_for(t.children[i].pid, 0);
		got += t.children[i].reader.got;
		lapped += t.children[i].reader.lapped;
		mr_buf_fini(&t.children[i].reader.payload);
	}
	print_message("           %u lives, %llu of them ended while they published; %llu records read, %llu laps\n", lives,
		(unsigned long long)t.torn, (unsigned long long)got, (unsigned long long)lapped);
	assert_true(got > lives && lapped > 0 && t.torn > 0);
	munmap(shared, LANES * sizeof *shared);
	mr_ring_delete(&t.ring);
	close(t.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_and_stopped_writers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
