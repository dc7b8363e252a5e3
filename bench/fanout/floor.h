/* What the floor is told over its control connection, which is the first that it accepts: an order, then so many bytes for all clients. */
#ifndef BENCH_FANOUT_FLOOR_H
#define BENCH_FANOUT_FLOOR_H

#include <stdint.h>

struct floor_order {
	uint32_t n;
	uint32_t alone; /* 1: one send() of its own to each client; 0: together with all that is pending when the floor comes round */
};

#endif
