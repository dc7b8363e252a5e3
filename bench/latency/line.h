/* A client's TCP connection to the server: HTTP requests that keep it open, or a WebSocket with JSON messages. Only what a measurement
 * needs: the server is trusted, and what goes wrong ends the program with a sentence.
 */
#ifndef BENCH_LINE_H
#define BENCH_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/ground/mem.h"

struct line {
	int fd;
	struct mr_buf in; /* read and not consumed */
	size_t at;        /* of it consumed */
};
/* Ends the program. */
_Noreturn void mr_bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Now, in microseconds. */
double mr_bench_now(void);

void mr_line_open(struct line *l, int port);
void mr_line_close(struct line *l);
/* Reads what is there (wait: until there is something). */
void mr_line_fill(struct line *l, bool wait);

/* Handshake of a WebSocket; waits for its end. */
void mr_line_upgrade(struct line *l);
void mr_line_say(struct line *l, struct mr_str json);
/* The next whole message, valid until the next call on this line. Answers the server's pings. */
bool mr_line_message(struct line *l, struct mr_str *json);

void mr_line_post(struct line *l, const char *path, struct mr_str json);
/* The next whole answer's body. */
bool mr_line_answer(struct line *l, int *status, struct mr_str *body);

#endif
