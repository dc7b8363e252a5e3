/* Source maps (version 3), as the bundler writes them: positions in the bundle to positions in the app's files, so that stacks and errors
 * name what a person wrote.
 */
#ifndef MR_SOURCE_MAP_H
#define MR_SOURCE_MAP_H

#include "proto/ground/mem.h"

struct mr_source_map;
/* JSON text of a map; `bundle` is the name that stands in stacks ("bundle.js"). NULL when it is no map. */
struct mr_source_map *mr_source_map_read(struct mr_str json, const char *bundle);
void mr_source_map_delete(struct mr_source_map **mp);
/* Line and column count from 1. false: not covered. The name lives as long as the map. */
bool mr_source_map_find(const struct mr_source_map *map, int line, int column, const char **source, int *source_line, int *source_column);
/* Appends text with each `<bundle>:line:column` replaced. map may be NULL: the text as it is. */
void mr_source_map_text(const struct mr_source_map *map, struct mr_str text, struct mr_buf *out);

#endif
