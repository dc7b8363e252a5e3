/* The event loop of worker and supervisor, and of everything in the fanout that is not a client's socket: epoll, timers
 * by timerfd, deferred calls, calls posted by other threads. Level-triggered. A loop belongs to the thread that turns it; only
 * mr_loop_post may be used by others. The fanout nests it: mr_loop_fd() is readable when mr_loop_turn(loop, 0) has something to do.
 */
#ifndef MR_GROUND_LOOP_H
#define MR_GROUND_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct mr_loop;
struct mr_loop *mr_loop_new(void);
void mr_loop_delete(struct mr_loop **loop); /* all watches must be gone */
int mr_loop_fd(const struct mr_loop *loop);
/* Calls wait for a turn. What else there is to do, the descriptor tells. */
bool mr_loop_has_calls(const struct mr_loop *loop);
/* Waits up to timeout_ms (-1: for ever), runs what is due. Deferred calls made during the turn run before it returns. */
void mr_loop_turn(struct mr_loop *loop, int timeout_ms);
void mr_loop_run(struct mr_loop *loop); /* turns until mr_loop_stop */
void mr_loop_stop(struct mr_loop *loop);
int64_t mr_loop_now(const struct mr_loop *loop); /* monotonic microseconds, read once a turn */

enum { MR_READ = 1, MR_WRITE = 2 };
typedef void mr_watch_cb(void *arg, int events); /* errors and hang-ups come as MR_READ | MR_WRITE */
struct mr_watch;
struct mr_watch *mr_watch_new(struct mr_loop *loop, int fd, int events, mr_watch_cb *cb, void *arg);
void mr_watch_set(struct mr_watch *w, int events); /* 0 waits for errors only */
void mr_watch_delete(struct mr_watch **w);         /* does not close the fd; safe inside any callback */

typedef void mr_call_cb(void *arg);
struct mr_timer; /* one shot */
struct mr_timer *mr_timer_new(struct mr_loop *loop, mr_call_cb *cb, void *arg);
void mr_timer_start(struct mr_timer *t, int64_t delay_us); /* restarts when running */
void mr_timer_stop(struct mr_timer *t);
bool mr_timer_running(const struct mr_timer *t);
void mr_timer_delete(struct mr_timer **t);

/* Runs cb(arg) once, later in this turn, after all callbacks of ready descriptors. Cannot be taken back. */
void mr_defer(struct mr_loop *loop, mr_call_cb *cb, void *arg);

/* From any thread: runs cb(arg) on the loop's thread, in a later turn; those of one thread in the order in which it posted them. No lock is
 * taken. What is still there when the loop is deleted is run by mr_loop_delete: arg is never left behind. */
void mr_loop_post(struct mr_loop *loop, mr_call_cb *cb, void *arg);
/* The same, but at once when the caller is on the loop's thread (the one that turned it last). */
void mr_loop_call(struct mr_loop *loop, mr_call_cb *cb, void *arg);

/* Wall clock, microseconds since 1970 (UTC); hours since 1970. */
int64_t mr_wall_us(void);
int32_t mr_this_hour(void);
int64_t mr_mono_us(void);

#endif
