/* What an app's developer should know of a build that is taken all the same. */
#ifndef MR_CLI_NOTES_H
#define MR_CLI_NOTES_H

#include "proto/ground/mem.h"

/* Appends one line for each note on the build in build_dir, by its manifest and, unless conninfo is NULL, by the database as it is now. */
void mr_notes(const char *build_dir, const char *conninfo, struct mr_buf *out);

#endif
