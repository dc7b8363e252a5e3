/* A table of who may do what, asked of an app's policies without a database:
 *
 *   { "given": { "Seat": [{ "user": "ann", "room": "r" }] },           rows that exists(...) finds
 *     "cases": [{ "as": { "userId": "ann" } | null, "entity": "Post", "row": { "room": "r", "author": "ann" }, "to": { "author": "bob" },
 *                 "may": ["read", "insert"], "mayNot": ["update", "delete"] }] }
 *
 * Fields that are not given are null; `to` is what an update changes (absent: nothing). To update or delete, one must see the row too.
 */
#ifndef MR_CLI_POLICY_TEST_H
#define MR_CLI_POLICY_TEST_H

#include "proto/schema.h"

/* Appends a line for each case that does not hold or is none, and one that counts. true: all hold. */
bool mr_policy_test(const struct mr_app *app, struct mr_str json, struct mr_buf *out);

#endif
