/* Requests of the app's own routes (docs/http.md): each is an action of a worker that is given the request and says what is answered. The
 * body of the request lies here and is handed on in pieces as the handler asks for them; that of the answer comes in pieces, the next one
 * when the client has taken the last.
 */
#ifndef MR_APP_HTTP_H
#define MR_APP_HTTP_H

#include "fanout.h"

/* false: no route has the path, and nothing was done; else it is or will be answered. */
bool mr_app_http(struct mr_req *req, struct mr_fanout *f);

#endif
