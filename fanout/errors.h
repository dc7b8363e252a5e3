/* Errors as the record of a call keeps them. */
#ifndef MR_ERRORS_H
#define MR_ERRORS_H

#include "proto/ground/node.h"

/* The recorded result of a call that was refused, { "$error": ErrorInfo }; false: it is a value. */
bool mr_error_from_result(struct mr_str json, struct mr_error *err);

#endif
