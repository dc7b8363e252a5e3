#include "rates.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "buckets.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "proto/ground/loop.h"
#include "proto/issuers.h"

struct limit {
	const char *setting;
	struct mr_buckets *buckets; /* NULL: none */
};

/* An address with open connections. */
struct crowd {
	uint64_t address;
	int64_t n;
};

struct mr_rates {
	struct limit callers, addresses;
	_Atomic int64_t *refused;
	int64_t connections; /* of one address; 0: no limit */
	pthread_mutex_t lock;
	struct mr_map crowds; /* by address */
};

static struct limit make_limit(const char *setting, int64_t per_second, int64_t burst)
{
	return (struct limit){setting, per_second ? mr_buckets_new(per_second, burst) : NULL};
}

struct mr_rates *mr_rates_new(const struct mr_settings *s, _Atomic int64_t *refused)
{
	struct mr_rates *rates = mr_alloc(sizeof *rates);
	rates->refused = refused;
	rates->callers = make_limit("calls_per_second", s->calls_per_second, s->calls_burst);
	rates->addresses = make_limit("address_calls_per_second", s->address_calls_per_second, s->address_calls_burst);
	rates->connections = s->connections_per_address;
	pthread_mutex_init(&rates->lock, NULL);
	return rates;
}

void mr_rates_delete(struct mr_rates **rates)
{
	if (!*rates)
		return;
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&(*rates)->crowds, &i, &key, &value);)
		free(value);
	mr_map_fini(&(*rates)->crowds);
	mr_buckets_delete(&(*rates)->callers.buckets);
	mr_buckets_delete(&(*rates)->addresses.buckets);
	pthread_mutex_destroy(&(*rates)->lock);
	free(*rates);
	*rates = NULL;
}

/* --- calls --- */

static bool take(struct mr_rates *rates, const struct limit *limit, uint64_t key, const char *who, struct mr_error *err)
{
	char data[128];
	int64_t wait_us = limit->buckets ? mr_buckets_take(limit->buckets, key, mr_mono_us()) : 0;
	if (!wait_us)
		return true;
	++*rates->refused;
	int64_t wait_ms = (wait_us + 999) / 1000;
	snprintf(data, sizeof data, "{\"setting\":\"%s\",\"retryAfter\":%" PRId64 "}", limit->setting, wait_ms);
	return mr_fail_data(err, MR_RATE_LIMITED, data, "%s asks for more than it may (%s); try again in %" PRId64 " ms.", who,
		limit->setting, wait_ms);
}

bool mr_rates_address(struct mr_rates *rates, uint64_t address, struct mr_error *err)
{
	return !rates || !address || take(rates, &rates->addresses, address, "Your address", err);
}

bool mr_rates_know_callers(const struct mr_rates *rates)
{
	return rates && rates->callers.buckets;
}

static bool is_own(struct mr_str user)
{
	return user.n && (user.n < sizeof(MR_GUESTS) || memcmp(user.p, MR_GUESTS, sizeof(MR_GUESTS) - 1) != 0);
}

bool mr_rates_caller(struct mr_rates *rates, struct mr_str user, uint64_t address, struct mr_error *err)
{
	if (!mr_rates_know_callers(rates))
		return true;
	if (is_own(user))
		return take(rates, &rates->callers, mr_hash(user.p, user.n), "This caller", err);
	return !address || take(rates, &rates->callers, mr_hash(&address, sizeof address), "Who is not signed in", err);
}

/* --- connections --- */

static struct mr_str key_of(const struct crowd *crowd)
{
	return (struct mr_str){(const char *)&crowd->address, sizeof crowd->address};
}

static struct crowd *find(struct mr_rates *rates, uint64_t address)
{
	struct crowd key = {.address = address};
	return mr_map_get(&rates->crowds, key_of(&key));
}

/* The one of this address, made if there is none. */
static struct crowd *join(struct mr_rates *rates, uint64_t address)
{
	struct crowd *crowd = find(rates, address);
	if (crowd)
		return crowd;
	crowd = mr_alloc(sizeof *crowd);
	crowd->address = address;
	mr_map_put(&rates->crowds, key_of(crowd), crowd);
	return crowd;
}

bool mr_rates_enter(struct mr_rates *rates, uint64_t address)
{
	if (!rates || !rates->connections || !address)
		return true;
	pthread_mutex_lock(&rates->lock);
	struct crowd *crowd = join(rates, address);
	bool may = crowd->n < rates->connections;
	crowd->n += may;
	*rates->refused += !may;
	pthread_mutex_unlock(&rates->lock);
	return may;
}

void mr_rates_leave(struct mr_rates *rates, uint64_t address)
{
	if (!rates || !rates->connections || !address)
		return;
	pthread_mutex_lock(&rates->lock);
	struct crowd *crowd = find(rates, address);
	MR_ASSERT(crowd && crowd->n > 0);
	if (--crowd->n == 0) {
		mr_map_del(&rates->crowds, key_of(crowd));
		free(crowd);
	}
	pthread_mutex_unlock(&rates->lock);
}
