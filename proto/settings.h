/* Settings: struct mr_settings is generated from proto/tables/settings.toml (one member per row: int64_t for int, ms, bytes; bool; const
 * char * for string and enum). Command line, then environment, then file, then default.
 */
#ifndef MR_SETTINGS_H
#define MR_SETTINGS_H

#include "ground/error.h"
#include "proto/tables.h"

/* Reads all of them. Takes --name value and --name=value of known settings out of argv (others stay, in order; "--" ends). File: --config,
 * else $MILLRACE_CONFIG, else millrace.conf in app_dir if it is there. data_dir and app_dir are made absolute. Strings live for ever.
 * false: bad_value with the setting, the value and what is allowed. */
bool mr_settings_load(struct mr_settings *s, int *argc, char **argv, struct mr_error *err);
/* Puts all values into the environment (MILLRACE_*), so that child processes load the same. */
void mr_settings_export(const struct mr_settings *s);

#endif
