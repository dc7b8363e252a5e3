/* Private to app_http*.c. */
#ifndef MR_APP_HTTP_INNER_H
#define MR_APP_HTTP_INNER_H

#include "app_http.h"
#include "proto/routes.h"

enum { MR_HTTP_PIECE = 64 * 1024 /* of a body, that travels at once */ };

/* app_http_cors.c */
/* Says which pages may read the answer; before it begins. */
void mr_cors_say(struct mr_req *req, const struct mr_cors *cors);
/* Whether the browser's cookies go to the handler: never from a page of another origin that is not named for it (CLOCK.md rule 28). */
bool mr_cors_cookies(const struct mr_req *req, const struct mr_cors *cors);
/* Answers a preflight of a page that would use the route; methods: of its path. */
void mr_cors_preflight(struct mr_req *req, const struct mr_cors *cors, struct mr_str methods);

/* app_http_answer.c */
/* Gives the request to a worker; members: of the call's message, taken over. */
void mr_http_exchange(struct mr_req *req, struct mr_fanout *f, const struct mr_route *route, struct mr_buf *members);

#endif
