/* Files and folders as the CLI needs them: whole-file reads and writes, trees copied and removed, sorted listings.
 * Failures are sentences that name the path; a full disk is told as such.
 */
#ifndef MR_CLI_FILES_H
#define MR_CLI_FILES_H

#include <sys/types.h>

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

bool mr_path_exists(const char *path);
bool mr_path_is_dir(const char *path);
/* Fills err for errno e met at `path` while doing `what` ("cannot write"); always returns false. */
bool mr_path_fail(struct mr_error *err, int e, const char *what, const char *path);

bool mr_file_read(const char *path, struct mr_buf *out, struct mr_error *err);
/* Written beside and renamed, so that readers see the old or the new file. */
bool mr_file_write(const char *path, struct mr_str content, mode_t mode, struct mr_error *err);
/* The same, but leaves a file alone that has this content already (watchers and caches then see nothing). */
bool mr_file_update(const char *path, struct mr_str content, struct mr_error *err);
bool mr_file_copy(const char *from, const char *to, struct mr_error *err);

bool mr_dir_make(const char *path, mode_t mode, struct mr_error *err); /* with its parents; fine when it is there */
void mr_dir_remove(const char *path);                                  /* with all that is in it; never follows a link */

/* Visits all plain files below `dir` in the order of their paths; `rel` is relative to it. Folders whose name begins with "." or is
 * node_modules are not entered. Stops and returns false when the visitor does. A missing folder has no files. */
typedef bool mr_dir_visit(const char *rel, void *arg);
bool mr_dir_walk(const char *dir, mr_dir_visit *visit, void *arg);

#endif
