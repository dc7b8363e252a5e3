/* Those who write: HTTP requests on connections that stay open (Millrace's functions, Nchan), PUB of NATS, PUBLISH of MQTT. A write is
 * under way until its writer has its answer, where there is one, and all clients that it is for have it.
 */
#ifndef BENCH_FANOUT_WRITES_H
#define BENCH_FANOUT_WRITES_H

#include "framing.h"

enum via { VIA_HTTP, VIA_NATS, VIA_MQTT, VIA_FLOOR };
struct writing {
	/* In it, $$$$$$$$$$ becomes the mark's number, and %%%%%% that number modulo `values`, + `first_value`. */
	struct mr_buf text;
	unsigned under_way; /* at most; 0: no limit */
	double rate;        /* writes a second; 0: as soon as fewer are under way */
	size_t count;
	double seconds;  /* begins none after so long; 0: however long it takes */
	unsigned expect; /* clients that each is for */
	unsigned values, first_value;
};

/* Opens so many connections (NATS, MQTT: one that says `greeting` first). VIA_FLOOR: the control connection (record.h). */
void mr_writers_open(enum via via, int port, unsigned n, struct mr_str greeting);
void mr_writers_close(void);
/* Writes; returns when none is under way. */
void mr_write_all(struct writing *w, double patience_seconds);

#endif
