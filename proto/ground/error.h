/* Errors: a code of the table proto/tables/errors.toml, a sentence, and optional data (JSON text).
 *
 * A function that may fail returns bool (or a pointer) and fills *err, which is never NULL, on failure only.
 * Library code does not log; it returns, and who asked decides.
 */
#ifndef MR_GROUND_ERROR_H
#define MR_GROUND_ERROR_H

#include <stdbool.h>

#include "proto/tables.h" /* generated: enum mr_code (MR_OK = 0, MR_BAD_MESSAGE, ...), mr_code_name, ... */

struct mr_error {
	enum mr_code code;
	char message[512];
	char data[256]; /* JSON text of a map, or empty */
	bool foreign;   /* the sentence is Postgres's or a library's: for the log, and in production not for clients */
};

/* Fills *err; always returns false, so that `return mr_fail(err, ...)` reads well. Long texts are cut at a character. */
bool mr_fail(struct mr_error *err, enum mr_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with data, a JSON map. */
bool mr_fail_data(struct mr_error *err, enum mr_code code, const char *data, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
