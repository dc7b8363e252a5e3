/* Take-over from one version of the app to the next, in every thread.
 */
#ifndef MR_SWITCH_H
#define MR_SWITCH_H

#include "hub.h"

/* Each thread serves hub->app from now on, with the build in this folder. done(arg) on the hub's thread, once for each of them. */
void mr_switch_all(struct mr_hub *hub, const char *dir, mr_call_cb *done, void *arg);

#endif
