/* The declarations of a database that exists: TypeScript that adopts its tables as they stand (docs/adopt.md). Blocking, for the CLI only.
 */
#ifndef MR_PULL_H
#define MR_PULL_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

struct mr_pull {
	const char *schema;
	const char *const *tables; /* names; none: all of the schema */
	size_t n_tables;
};

/* Appends the text. What cannot be declared is a comment that says why. *found: tables that are declared, *left: those that are not.
 * not_found when a table of `tables` is not there, or the schema has none. */
bool mr_pull(const char *conninfo, const struct mr_pull *what, struct mr_buf *out, int *found, int *left, struct mr_error *err);

#endif
