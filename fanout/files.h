/* Static files below a folder. Answering is mr_req_file of net.h; what it read is kept, as long as the file does not change.
 * Names that begin with a dot are never served (but .well-known), and nothing that a symbolic link leads to outside of the root.
 */
#ifndef MR_FILES_H
#define MR_FILES_H

#include "net.h"

/* Would mr_req_file answer with content (a file, or a folder with index.html)? */
bool mr_file_exists(const char *root, struct mr_str path);

struct mr_files; /* what was read; one for each mr_net */
struct mr_files *mr_files_new(void);
void mr_files_delete(struct mr_files **files);

#endif
