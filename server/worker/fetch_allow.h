/* Which addresses actions may connect to (rule 29).
 */
#ifndef MR_FETCH_ALLOW_H
#define MR_FETCH_ALLOW_H

#include <stdbool.h>
#include <sys/socket.h>

/* Of the public internet, or in the list (setting fetch_private): addresses with commas between, `10.1.2.3`, `127.0.0.1:9200`, `[::1]:80`;
 * without a port, all of its ports; or `all`. Names are none. */
bool mr_fetch_allowed(const char *list, const struct sockaddr *address, socklen_t n);

#endif
