/* What the catalog says of the app's tables, as outside polls read it (CLOCK.md rule 7): one whose entry is no longer what it was (ALTER,
 * TRUNCATE of a leaf, triggers) is read anew. One whose rows nobody captures, since its trigger was dropped or disabled, is read anew every
 * second until it has it back.
 */
#ifndef MR_CATALOG_H
#define MR_CATALOG_H

#include "fanout.h"

struct mr_catalog;
struct mr_catalog *mr_catalog_new(struct mr_fanout *f);
void mr_catalog_delete(struct mr_catalog **t);
/* The serving app changed: nothing is known of its tables yet. */
void mr_catalog_app(struct mr_catalog *t);
/* What tick n read: JSON map entity -> text (storage/ticker.h); empty: it did not read it. */
void mr_catalog_take(struct mr_catalog *t, struct mr_str fingerprints, uint64_t n);
/* After the changes of tick n were applied. */
void mr_catalog_reread(struct mr_catalog *t, uint64_t n, int64_t now);
uint64_t mr_catalog_read_at(const struct mr_catalog *t); /* the last tick that read it; 0: none yet */
/* Of an entity of the serving app. The hash is the same wherever and whenever the entry is: who holds rows from before holds them of this
 * very table. 0: not known. */
uint64_t mr_catalog_hash(const struct mr_catalog *t, const struct mr_entity *e);
bool mr_catalog_blind(const struct mr_catalog *t, const struct mr_entity *e); /* nobody captures its rows */

#endif
