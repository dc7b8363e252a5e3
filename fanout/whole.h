/* Wholes: all of an instance's state as a body, encoded once for all who need it. Where it is long it is made aside, and serves on when
 * something has become of the state: then it is told together with the bodies since, as long as these are little.
 */
#ifndef MR_WHOLE_H
#define MR_WHOLE_H

#include "instance.h"

/* Gives the whole, and the tick from which on the bodies belong to it; NULL where it is long to make: then that is begun, and all who
 * watch the instance are looked at again when it is there. It goes when it serves no more, and with the trim where one watches alone. */
struct mr_wire *mr_whole(struct mr_instance *inst, enum mr_encoding encoding, uint64_t *at);
/* The bytes that this takes with those bodies; an estimate where nobody has encoded it. */
size_t mr_whole_size(struct mr_instance *inst, enum mr_encoding encoding);

/* For instance.c: it has got this body; bodies after this tick serve with a whole. */
void mr_whole_age(struct mr_instance *inst, const struct mr_body *b);
uint64_t mr_whole_since(const struct mr_instance *inst);
void mr_whole_told(struct mr_instance *inst); /* those that are there go */
void mr_whole_clear(struct mr_instance *inst);

#endif
