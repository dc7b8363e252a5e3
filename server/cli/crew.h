/* A crew: the workers of one build of the app. New code comes with a new crew; the old one serves until the new one is ready and then
 * finishes what it runs.
 */
#ifndef MR_CLI_CREW_H
#define MR_CLI_CREW_H

#include "build.h"
#include "child.h"

enum mr_crew_state { MR_CREW_STARTING, MR_CREW_SERVING, MR_CREW_LEAVING };

struct mr_crew {
	struct mr_list in_all;
	enum mr_crew_state state;
	struct mr_app_build build;
	struct mr_child **workers;
	int n;
	struct mr_timer *patience; /* LEAVING: how long calls may still run */
	struct mr_crews *crews;
};

struct mr_crews {
	struct mr_children *children;
	struct mr_list all;
	const char *worker, *socket; /* program; control socket of the fanout */
	int64_t leave_us;
	/* A crew that is STARTING keeps failing: it will never be ready. */
	void (*on_hopeless)(struct mr_crew *crew, void *arg);
	void *arg;
};

void mr_crews_init(struct mr_crews *cs, struct mr_children *children, const char *worker, const char *socket, int64_t leave_us);
/* Takes the build over and starts n workers. */
struct mr_crew *mr_crew_new(struct mr_crews *cs, struct mr_app_build *build, int n);
/* Ends a crew: the workers finish their calls (the fanout has told them: drain), or are ended at once. It deletes itself when all are gone.
 */
void mr_crew_leave(struct mr_crew *crew, bool at_once);

#endif
