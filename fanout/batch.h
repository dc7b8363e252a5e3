/* A batch: the row changes of one tick, parsed, in the order of their writing. Nobody changes it, all threads read it. Kept while a load or
 * run that may not have seen them is under way (clock.h), so that what it read can be brought to the tick.
 */
#ifndef MR_BATCH_H
#define MR_BATCH_H

#include <stdatomic.h>

#include "change.h"
#include "stakes.h"
#include "storage/ticker.h"

/* By what one knows whether a snapshot holds it: both must say so, since xids are handed out again after a crash of Postgres, and who
 * commits late has a low number. xid 0: nothing was written. */
struct mr_written {
	uint64_t xid;
	int64_t seq; /* of the log row */
};

/* The effect of one call, as the log has it. */
struct mr_effect {
	struct mr_written written;
	struct mr_str session, call, result;
};

struct mr_batch {
	atomic_uint refs;
	struct mr_app *app; /* whose entities the changes name */
	uint64_t n;         /* tick */
	struct mr_arena arena;
	struct mr_change *changes; /* by seq */
	size_t n_changes;
	uint64_t last_xid; /* the highest of the changes */
	struct mr_effect *effects;
	size_t n_effects;
};

/* Finds what a log row withheld, by its token; empty when unknown. The text must live until the batch is built. */
typedef struct mr_str mr_payload_of(void *arg, const uint8_t token[MR_TOKEN_BYTES]);

enum { MR_BATCH_CHANGES = 16384 }; /* so many are told row by row in a tick */

/* Reads log rows. Of tables of which triggers wrote more than `stakes` says (NULL: all are read), or of which some is withheld, none is
 * read: these have changed in bulk; so have, where it is more than MR_BATCH_CHANGES in sum, those that have most. Rows of tables that the
 * app does not declare are passed over; an image that does not fit its entity makes that change bulk and names the entity in *misfit (may
 * be NULL). *lost: a withheld payload could not be found: everything must be read anew. */
struct mr_batch *mr_batch_new(uint64_t n, struct mr_app *app, const struct mr_log_row *rows, size_t n_rows, mr_payload_of *payload,
	void *arg, const struct mr_stakes *stakes, bool *lost, const struct mr_entity **misfit);
struct mr_batch *mr_batch_hold(struct mr_batch *b);
void mr_batch_drop(struct mr_batch **b);

#endif
