/* The HS256 secret: auth_secret, else data_dir/secret, made at random by whoever comes first. */
#ifndef MR_CLI_SECRET_H
#define MR_CLI_SECRET_H

#include "proto/ground/mem.h"
#include "proto/settings.h"

/* Appends the secret's text, which is the key. */
bool mr_secret_get(const struct mr_settings *s, struct mr_buf *out, struct mr_error *err);

#endif
