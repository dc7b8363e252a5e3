/* The load generator's clients: sockets that greet a server, say that they want to be told, and count what they are told.
 *
 *   closed -> connecting -> shaking (TLS) -> upgrading (WebSocket) -> greeting -> ready
 *
 * Only so many are before "ready" at a time. Whatever goes wrong ends the program with a sentence, except that the server goes away
 * where that is part of the plan.
 */
#ifndef BENCH_FANOUT_CLIENTS_H
#define BENCH_FANOUT_CLIENTS_H

#include <stdio.h>

#include "framing.h"

enum { SAY_MOST = 80 };
/* In what is said, @@@@@@ becomes the client's number; @t@ its token; @p@, @k@ and @h@ its position, and the key and the hash of what it
 * holds. */
struct client_plan {
	enum framing framing;
	int port;
	unsigned n, at_once;
	struct mr_buf request;       /* of the upgrade; empty: none */
	struct mr_buf say[SAY_MOST]; /* then; framed where the request was for a WebSocket */
	unsigned n_say;
	struct mr_buf tokens; /* a line for each client; empty: they have none */
	struct mr_buf ready;  /* bytes that `want` messages hold before a client is ready; empty: pieces say so, or nothing does */
	unsigned want;
	bool tls;
	bool binary;  /* kind of WebSocket messages */
	bool resumes; /* keeps its position, key and hash (JSON) */
};

/* Opens them all, or gives up after some seconds. The plan becomes theirs. */
void mr_clients_open(struct client_plan *plan, double seconds);
/* Opens those again that the server left, with other things to say, until all are ready and have got the marks of the run that began
 * before. */
void mr_clients_again(struct client_plan *plan, double seconds);
/* The server may leave; until it has left all. */
void mr_clients_await_end(double seconds);
/* At once, without a goodbye. */
void mr_clients_close(void);
/* Members of a JSON object; what is counted begins anew. */
void mr_clients_report(FILE *out);
/* Messages that they have got since the last report. */
uint64_t mr_clients_messages(void);
unsigned mr_clients_ready(void);
/* What client 0 got as an answer to its upgrade, and after that until it was ready. */
struct mr_str mr_clients_upgrade(void);
struct mr_str mr_clients_first_words(void);

#endif
