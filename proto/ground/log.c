#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MOST = 8192 };

static char process_name[48] = "millrace";
static enum mr_level least_level = MR_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void mr_log_init(const char *process, enum mr_level least)
{
	snprintf(process_name, sizeof(process_name), "%s", process);
	least_level = least;
}

/* Everything that could break a line or a terminal becomes a blank. */
static void tame(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
			p[i] = ' ';
}

static void write_line(enum mr_level level, const char *fmt, va_list ap)
{
	char line[LINE_MOST];
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(line, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, 128, ".%03ldZ %s %s: ", ts.tv_nsec / 1000000, level_names[level], process_name);
	int text = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	size_t end = text < 0 ? n : n + (size_t)text;
	if (end > sizeof(line) - 2)
		end = sizeof(line) - 2;
	tame(line + n, end - n);
	line[end++] = '\n';
	/* A log that cannot be written (closed terminal, full disk) must not stop the process. */
	ssize_t done = write(STDERR_FILENO, line, end);
	(void)done;
}

void mr_log(enum mr_level level, const char *fmt, ...)
{
	if (level > least_level)
		return;
	int saved = errno;
	va_list ap;
	va_start(ap, fmt);
	write_line(level, fmt, ap);
	va_end(ap);
	errno = saved;
}

_Noreturn void mr_die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	write_line(MR_ERROR, fmt, ap);
	va_end(ap);
	_exit(1);
}

_Noreturn void mr_assert_failed(const char *what, const char *file, int line)
{
	mr_log(MR_ERROR, "cannot happen, but did: %s (%s:%d)", what, file, line);
	abort();
}
