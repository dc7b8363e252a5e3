/* How much one caller and one address may ask for (settings calls_per_second, address_calls_per_second, connections_per_address): what the
 * process has once, for all threads. Where no limit is set there is no table, and nothing is asked.
 */
#ifndef MR_RATES_H
#define MR_RATES_H

#include <stdatomic.h>

#include "proto/ground/error.h"
#include "proto/ground/mem.h"
#include "proto/settings.h"

struct mr_rates;
struct mr_rates *mr_rates_new(const struct mr_settings *settings, _Atomic int64_t *refused); /* how often it said no is counted there */
void mr_rates_delete(struct mr_rates **rates);

/* rates may be NULL: all may. address: its key (proto/peer.h); 0: it has none, and is not counted. */

/* A call, a request or an attempt to connect from this address. False: rate_limited. */
bool mr_rates_address(struct mr_rates *rates, uint64_t address, struct mr_error *err);
bool mr_rates_know_callers(const struct mr_rates *rates); /* else nobody is asked who calls */
/* A call of this user; of guests and nobody (empty), who are as many as they like, one of their address. False: rate_limited. */
bool mr_rates_caller(struct mr_rates *rates, struct mr_str user, uint64_t address, struct mr_error *err);

/* Connections that are open. False: it has as many as it may. */
bool mr_rates_enter(struct mr_rates *rates, uint64_t address);
void mr_rates_leave(struct mr_rates *rates, uint64_t address);

#endif
