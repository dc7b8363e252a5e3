/* What an app declares, looked at without a database: what would deny everything in silence, or admit it.
 */
#ifndef MR_CLI_CHECK_H
#define MR_CLI_CHECK_H

#include "proto/schema.h"

/* Appends a sentence a line. Returns how many of them are mistakes; the others are worth a look. */
size_t mr_check_app(const struct mr_app *app, struct mr_buf *out);

#endif
