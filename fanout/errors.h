/* Errors that travel as maps: { code, message, data? }. */
#ifndef MR_ERRORS_H
#define MR_ERRORS_H

#include "proto/ground/node.h"

/* Reads one; an unknown code becomes internal. */
void mr_error_from_node(const struct mr_node *node, struct mr_error *err);
/* The recorded result of a call that was refused, { "$error": ErrorInfo }; false: it is a value. */
bool mr_error_from_result(struct mr_str json, struct mr_error *err);

#endif
