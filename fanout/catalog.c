#include "catalog.h"

#include <stdlib.h>

#include "clock.h"
#include "instance.h"
#include "proto/ground/log.h"

enum { BLIND_US = 1000 * 1000 };

struct table {
	uint64_t hash; /* 0: not known */
	bool blind;
};

struct mr_catalog {
	struct mr_fanout *f;
	char *text;              /* read last, NULL: never */
	uint64_t since, read_at; /* ticks: the last before the app, the last that read it */
	struct table *of;        /* by the entity's place in the app */
	size_t n, n_blind;
	int64_t reread_us;
};

struct mr_catalog *mr_catalog_new(struct mr_fanout *f)
{
	struct mr_catalog *t = mr_alloc(sizeof *t);
	t->f = f;
	return t;
}

static void forget(struct mr_catalog *t)
{
	free(t->text);
	free(t->of);
	t->text = NULL;
	t->of = NULL;
	t->n = t->n_blind = 0;
	t->read_at = 0;
}

void mr_catalog_delete(struct mr_catalog **t)
{
	if (!*t)
		return;
	forget(*t);
	free(*t);
	*t = NULL;
}

void mr_catalog_app(struct mr_catalog *t)
{
	forget(t);
	t->n = t->f->app->n_entities;
	t->since = t->f->clock->n;
	t->of = mr_alloc((t->n + 1) * sizeof *t->of);
}

static struct table *table_of(const struct mr_catalog *t, const struct mr_entity *e)
{
	const struct mr_app *app = t->f->app;
	bool ours = app && t->n == app->n_entities && e >= app->entities && e < app->entities + app->n_entities;
	return ours ? &t->of[e - app->entities] : NULL;
}

static bool is_blind(struct mr_str text)
{
	static const char mark[] = " blind";
	const size_t n = sizeof mark - 1;
	return text.n > n && memcmp(text.p + text.n - n, mark, n) == 0;
}

static void tell_blind(struct mr_catalog *t, const struct mr_entity *e, bool blind)
{
	t->n_blind += blind ? 1 : (size_t)-1;
	if (blind)
		mr_log(MR_WARN,
			"rows of table %s are not captured, since its trigger is missing or disabled: its live queries are read anew every "
			"second; millrace migrate --apply puts the trigger back",
			e->table.p);
	else
		mr_log(MR_INFO, "rows of table %s are captured again", e->table.p);
}

static void take(struct mr_catalog *t, const struct mr_entity *e, struct mr_str text, uint64_t n)
{
	struct table *table = table_of(t, e);
	uint64_t hash = mr_hash_fixed(text.p, text.n, 5), was = table->hash;
	bool blind = is_blind(text);
	if (hash == was)
		return;
	table->hash = hash;
	if (blind != table->blind)
		tell_blind(t, e, blind);
	table->blind = blind;
	mr_instances_rekey(t->f->instances, e);
	/* Nothing was read before the first tick of the app. */
	if (!was && n == t->since + 1)
		return;
	if (was)
		mr_log(MR_INFO, "table %s was altered or rewritten: its live queries are read anew", e->table.p);
	mr_instances_bulk(t->f->instances, e, n);
}

void mr_catalog_take(struct mr_catalog *t, struct mr_str fingerprints, uint64_t n)
{
	if (!fingerprints.n)
		return;
	t->read_at = n;
	if (t->text && mr_str_is(fingerprints, t->text))
		return;
	struct mr_arena a = {0};
	struct mr_error err;
	const struct mr_node *map = mr_json_read(&a, fingerprints, 8, false, &err);
	for (size_t i = 0; map && map->kind == MR_MAP && i < map->n; i++) {
		const struct mr_entity *e = mr_app_entity(t->f->app, map->items[i].key);
		if (e && table_of(t, e))
			take(t, e, map->items[i].text, n);
	}
	mr_arena_fini(&a);
	free(t->text);
	t->text = mr_strndup(fingerprints.p, fingerprints.n);
}

void mr_catalog_reread(struct mr_catalog *t, uint64_t n, int64_t now)
{
	if (!t->n_blind || now - t->reread_us < BLIND_US)
		return;
	t->reread_us = now;
	for (size_t i = 0; i < t->n; i++)
		if (t->of[i].blind)
			mr_instances_bulk(t->f->instances, &t->f->app->entities[i], n);
}

uint64_t mr_catalog_read_at(const struct mr_catalog *t)
{
	return t->read_at;
}

uint64_t mr_catalog_hash(const struct mr_catalog *t, const struct mr_entity *e)
{
	const struct table *table = table_of(t, e);
	return table ? table->hash : 0;
}

bool mr_catalog_blind(const struct mr_catalog *t, const struct mr_entity *e)
{
	const struct table *table = table_of(t, e);
	return table && table->blind;
}
