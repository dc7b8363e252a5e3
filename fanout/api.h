/* The HTTP API: routes of docs/http.md, on top of calls (calls.h), live (live.h) and the app. */
#ifndef MR_API_H
#define MR_API_H

#include "fanout.h"
#include "net.h"

void mr_api_request(struct mr_req *req, void *fanout); /* the `request` callback of mr_net_config */

#endif
