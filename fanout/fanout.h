/* One thread of the fanout: what its rooms share. Each thread has sockets, sessions, live queries and an index of its own, sees every tick
 * and takes no lock; what the process has once is the hub's (hub.h). No globals.
 */
#ifndef MR_FANOUT_H
#define MR_FANOUT_H

#include <stdatomic.h>

#include "net.h"
#include "proto/ground/list.h"
#include "proto/ground/loop.h"
#include "proto/schema.h"
#include "proto/settings.h"

struct mr_hub;

struct mr_fanout {
	struct mr_hub *hub;
	size_t index; /* among the threads, from 0 */
	struct mr_settings settings;
	struct mr_loop *loop;
	struct mr_net *net;
	struct mr_app *app;                   /* what serves now; NULL until the supervisor gave one and its workers are ready */
	char *app_dir;                        /* folder of the serving build: manifest.json, web/ */
	struct mr_str secret;                 /* HS256 and positions */
	struct mr_keyring *keyring;           /* by which tokens are judged (keys.h) */
	struct mr_rates *rates;               /* the hub's */
	struct mr_revoked *revoked;           /* sessions that ended before their time */
	_Atomic int64_t counter[MR_COUNTERS]; /* of this thread, indexed by the generated enum mr_counter; others may look */
	struct mr_tasks *tasks;
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
/* false: not ready; why is a sentence (for /readyz). */
bool mr_fanout_ready(const struct mr_fanout *f, const char **why);

#endif
