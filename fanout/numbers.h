/* Numbers of live queries: small, and the same for one query in all threads, since bodies carry them.
 */
#ifndef MR_NUMBERS_H
#define MR_NUMBERS_H

#include "proto/ground/mem.h"

struct mr_numbers;
struct mr_numbers *mr_numbers_new(bool alone); /* alone: there is one thread, which needs no keys to be remembered */
void mr_numbers_delete(struct mr_numbers **n); /* all were given back */
/* The number of the query with this key, until it is given back as often as it was taken. Any thread, under a lock: when a query is new to
 * a thread, and when it goes; never when anything is sent. */
uint64_t mr_number_take(struct mr_numbers *n, struct mr_str key);
void mr_number_leave(struct mr_numbers *n, struct mr_str key);

#endif
