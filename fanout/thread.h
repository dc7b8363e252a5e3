/* The threads of the process. A single one shares the hub's loop; several have a loop each, and the main thread is the hub's alone, so that
 * no tick waits for anybody's sockets.
 */
#ifndef MR_THREAD_H
#define MR_THREAD_H

#include "hub.h"

void mr_threads_open(struct mr_hub *hub); /* as many as fanout_threads says; all listen */
void mr_threads_run(struct mr_hub *hub);  /* until mr_hub_stop; when it returns, no client is connected any more */
void mr_threads_close(struct mr_hub *hub);

#endif
