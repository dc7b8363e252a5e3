/* What the unit tests of proto share: cmocka's includes, and the conformance vectors of tests/vectors. */
#ifndef MR_TEST_VECTORS_H
#define MR_TEST_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/ground/log.h"
#include "proto/schema.h"

static inline const struct mr_node *vectors(struct mr_arena *a, const char *name)
{
	const char *folder = getenv("MR_VECTORS");
	char *path = mr_printf("%s/%s.json", folder ? folder : "tests/vectors", name);
	FILE *f = fopen(path, "r");
	if (!f)
		fail_msg("%s cannot be read", path);
	struct mr_buf b = {0};
	size_t n;
	do {
		n = fread(mr_buf_room(&b, 65536), 1, 65536, f);
		b.n += n;
	} while (n);
	fclose(f);
	struct mr_error err;
	const struct mr_node *root = mr_json_read(a, mr_arena_str(a, mr_buf_view(&b)), 64, false, &err);
	if (!root)
		fail_msg("%s: %s", path, err.message);
	mr_buf_fini(&b);
	free(path);
	return root;
}

static inline const struct mr_node *member(const struct mr_node *n, const char *key)
{
	const struct mr_node *m = mr_node_get(n, key);
	if (!m)
		fail_msg("a vector lacks \"%s\"", key);
	return m;
}

/* Text as it stands in the vectors' file, for messages. */
static inline const char *shown(struct mr_arena *a, const struct mr_node *n)
{
	return mr_arena_z(a, n->raw);
}

/* An entity with the fields of a vector file, all optional. */
static inline struct mr_app *vector_app(const struct mr_node *fields)
{
	struct mr_buf b = {0};
	struct mr_error err;
	mr_buf_z(&b, "{\"entities\":[{\"name\":\"T\",\"fields\":[");
	for (size_t i = 0; i < fields->n; i++)
		mr_buf_printf(&b, "%s{\"name\":\"%.*s\",\"type\":\"%.*s\",\"optional\":true}", i ? "," : "", (int)fields->items[i].key.n,
			fields->items[i].key.p, (int)fields->items[i].text.n, fields->items[i].text.p);
	mr_buf_z(&b, "]}]}");
	struct mr_app *app = mr_app_read(mr_buf_view(&b), &err);
	if (!app)
		fail_msg("%s", err.message);
	mr_buf_fini(&b);
	return app;
}

#endif
