/* What changes its value without any write: a live query that calls it would go stale unnoticed. */
#include <stdlib.h>
#include <strings.h>

#include "sql_check.h"

struct moving {
	const char *name;
	enum mr_sql_moves moves;
};

/* Sorted. */
static const struct moving functions[] = {
	{"array_sample", MR_SQL_CHANCE},
	{"array_shuffle", MR_SQL_CHANCE},
	{"clock_timestamp", MR_SQL_TIME},
	{"currval", MR_SQL_COUNTER},
	{"gen_random_bytes", MR_SQL_CHANCE},
	{"gen_random_uuid", MR_SQL_CHANCE},
	{"lastval", MR_SQL_COUNTER},
	{"nextval", MR_SQL_COUNTER},
	{"now", MR_SQL_TIME},
	{"pg_current_snapshot", MR_SQL_COUNTER},
	{"pg_current_xact_id", MR_SQL_COUNTER},
	{"pg_current_xact_id_if_assigned", MR_SQL_COUNTER},
	{"random", MR_SQL_CHANCE},
	{"random_normal", MR_SQL_CHANCE},
	{"setseed", MR_SQL_CHANCE},
	{"setval", MR_SQL_COUNTER},
	{"statement_timestamp", MR_SQL_TIME},
	{"timeofday", MR_SQL_TIME},
	{"transaction_timestamp", MR_SQL_TIME},
	{"txid_current", MR_SQL_COUNTER},
	{"txid_current_if_assigned", MR_SQL_COUNTER},
	{"txid_current_snapshot", MR_SQL_COUNTER},
	{"uuid_generate_v1", MR_SQL_CHANCE},
	{"uuid_generate_v1mc", MR_SQL_CHANCE},
	{"uuid_generate_v4", MR_SQL_CHANCE},
	{"uuidv4", MR_SQL_CHANCE},
	{"uuidv7", MR_SQL_CHANCE},
};

static int by_name(const void *key, const void *entry)
{
	return strcmp(key, ((const struct moving *)entry)->name);
}

enum mr_sql_moves mr_sql_moving_function(const char *name, size_t n_args)
{
	if (!strcmp(name, "age") && n_args == 1) /* to midnight of the current day */
		return MR_SQL_TIME;
	const struct moving *m = bsearch(name, functions, MR_COUNT(functions), sizeof(*functions), by_name);
	return m ? m->moves : MR_SQL_STANDS;
}

static bool is_one_of(const char *text, size_t n, const char *const *words, size_t n_words)
{
	for (size_t i = 0; i < n_words; i++)
		if (strlen(words[i]) == n && !strncasecmp(text, words[i], n))
			return true;
	return false;
}

bool mr_sql_moving_literal(const char *type, const char *text)
{
	static const char *const types[] = {"date", "time", "timetz", "timestamp", "timestamptz"};
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
	text += strspn(text, " \t\n");
	size_t n = strcspn(text, " \t\n");
	return is_one_of(type, strlen(type), types, MR_COUNT(types)) && is_one_of(text, n, words, MR_COUNT(words));
}
