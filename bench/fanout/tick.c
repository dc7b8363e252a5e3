/* The bare tick while others write: the statement that asks for the snapshot and the log rows that are new in it, every few milliseconds on
 * a connection of its own. Prints how long its answer took: a JSON object in microseconds.
 *
 *   tick CONNINFO SECONDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/latency/floor.h"
#include "bench/latency/line.h"
#include "bench/latency/samples.h"

enum { PAUSE_US = 5000 };

int main(int argc, char **argv)
{
	struct pg_floor floor = {0};
	struct samples took = {0};
	if (argc != 3)
		mr_bench_die("tick CONNINFO SECONDS");
	mr_floor_open_tick(&floor, argv[1]);
	double end = mr_bench_now() + strtod(argv[2], NULL) * 1e6;
	while (mr_bench_now() < end) {
		usleep((useconds_t)(random() % PAUSE_US));
		mr_samples_add(&took, mr_floor_tick(&floor));
	}
	printf("{\"ticks\":%zu,\"took\":[%.1f,%.1f]}\n", took.n, mr_samples_at(&took, 0.5), mr_samples_at(&took, 0.99));
	mr_samples_fini(&took);
	mr_floor_close(&floor);
	return 0;
}
