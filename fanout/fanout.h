/* The fanout process: what its rooms share. One per process, made by main, passed to everybody; no globals. */
#ifndef MR_FANOUT_H
#define MR_FANOUT_H

#include "net.h"
#include "proto/ground/list.h"
#include "proto/ground/loop.h"
#include "proto/schema.h"
#include "proto/settings.h"

struct mr_fanout {
	struct mr_settings settings;
	struct mr_loop *loop;
	struct mr_net *net;
	struct mr_app *app;           /* what serves now; NULL until the supervisor gave one and its workers are ready */
	char *app_dir;                /* folder of the serving build: manifest.json, web/ */
	struct mr_str secret;         /* HS256 and positions */
	int64_t counter[MR_COUNTERS]; /* indexed by the generated enum mr_counter */
	struct mr_workers *workers;
	struct mr_clock *clock;
	struct mr_instances *instances;
	struct mr_sessions *sessions;
	bool stopping;
	int32_t hour; /* by Postgres's clock, as of its last tick; 0 before */
	int64_t hour_us;
};
/* Hours since 1970 by which calls are judged: Postgres's, or ours while it does not answer. */
static inline int32_t mr_fanout_hour(const struct mr_fanout *f)
{
	int32_t ours = f->hour && mr_mono_us() - f->hour_us < 60 * 1000000 ? 0 : mr_this_hour();
	return MR_MAX(f->hour, ours);
}
void mr_fanout_stop(struct mr_fanout *f); /* ends mr_net_run */
/* false: not ready; why is a sentence (for /readyz). */
bool mr_fanout_ready(const struct mr_fanout *f, const char **why);

#endif
