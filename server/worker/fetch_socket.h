/* libcurl's sockets and its one timer on the worker's loop.
 */
#ifndef MR_FETCH_SOCKET_H
#define MR_FETCH_SOCKET_H

#include <curl/curl.h>

#include "proto/ground/loop.h"

struct mr_fetch_sockets;
/* done(arg): transfers may have ended; called from the loop, never from within libcurl. Lives as long as the process. */
struct mr_fetch_sockets *mr_fetch_sockets_new(struct mr_loop *loop, CURLM *multi, mr_call_cb *done, void *arg);

#endif
