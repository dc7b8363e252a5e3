/* The log: one line per event on standard error, `time level process: text`. Also asserts.
 * Lines are written with one write(2), so that processes that share a terminal do not mix.
 */
#ifndef MR_GROUND_LOG_H
#define MR_GROUND_LOG_H

enum mr_level { MR_ERROR, MR_WARN, MR_INFO, MR_DEBUG };

/* Name of this process in each line ("fanout", "worker 2"), and the least level. Copied. */
void mr_log_init(const char *process, enum mr_level least);
void mr_log(enum mr_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Says why and ends the process with status 1. */
_Noreturn void mr_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void mr_assert_failed(const char *what, const char *file, int line);

/* What cannot happen; stays on in release builds. */
#define MR_ASSERT(x) ((x) ? (void)0 : mr_assert_failed(#x, __FILE__, __LINE__))

#endif
