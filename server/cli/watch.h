/* Notices changes of the app's sources (inotify, all folders below app_dir but those that are not sources), after 50 ms of quiet. */
#ifndef MR_CLI_WATCH_H
#define MR_CLI_WATCH_H

#include "proto/ground/error.h"
#include "proto/ground/loop.h"

enum { MR_CHANGED_WEB = 1, MR_CHANGED_CODE = 2 }; /* files below web/; all others */
typedef void mr_sources_cb(int changed, void *arg);

struct mr_sources;
/* skip: an absolute path that is not looked at (the data folder). */
struct mr_sources *mr_sources_new(
	struct mr_loop *loop, const char *app_dir, const char *skip, mr_sources_cb *cb, void *arg, struct mr_error *err);
void mr_sources_delete(struct mr_sources **s);

#endif
