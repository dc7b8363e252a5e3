#include "source_map.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/ground/node.h"

struct piece {
	int line, column; /* in the bundle, from 0 */
	int source, source_line, source_column;
};

struct mr_source_map {
	char *bundle;
	char **sources;
	size_t n_sources;
	struct piece *pieces; /* by line and column */
	size_t n, cap;
};

/* One base64 VLQ number; false at its end or on a wrong character. Bounded to int. */
static bool read_number(const char **p, const char *end, int *value)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int64_t v = 0;
	for (int shift = 0; *p < end && shift < 35; shift += 5) {
		const char *d = **p ? strchr(digits, **p) : NULL;
		if (!d)
			return false;
		(*p)++;
		int64_t bits = d - digits;
		v |= (bits & 31) << shift;
		if (bits & 32)
			continue;
		*value = (int)((v & 1 ? -1 : 1) * (v >> 1) % INT_MAX);
		return true;
	}
	return false;
}

static void add_piece(struct mr_source_map *m, const struct piece *p)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 1024;
		m->pieces = mr_realloc(m->pieces, m->cap * sizeof *m->pieces);
	}
	m->pieces[m->n++] = *p;
}

static bool move_by(int *value, int by)
{
	return !__builtin_add_overflow(*value, by, value) && *value >= 0;
}

static bool read_mappings(struct mr_source_map *m, struct mr_str text)
{
	struct piece at = {0};
	if (!text.n)
		return true;
	const char *p = text.p, *end = text.p + text.n;
	while (p < end) {
		if (*p == ';' || *p == ',') {
			if (*p++ == ';') {
				at.line++;
				at.column = 0;
			}
			continue;
		}
		int column, source, line, source_column, name;
		if (!read_number(&p, end, &column) || !move_by(&at.column, column))
			return false;
		if (p == end || *p == ',' || *p == ';')
			continue; /* code that comes from no file */
		if (!read_number(&p, end, &source) || !read_number(&p, end, &line) || !read_number(&p, end, &source_column) ||
			!move_by(&at.source, source) || !move_by(&at.source_line, line) || !move_by(&at.source_column, source_column) ||
			(size_t)at.source >= m->n_sources)
			return false;
		if (p < end && *p != ',' && *p != ';' && !read_number(&p, end, &name))
			return false;
		add_piece(m, &at);
	}
	return true;
}

/* The map names files from the bundle's folder; people know them from the app's. */
static struct mr_str shown_name(struct mr_str path)
{
	while (path.n > 3 && memcmp(path.p, "../", 3) == 0)
		path = (struct mr_str){path.p + 3, path.n - 3};
	return path;
}

static void read_sources(struct mr_source_map *m, const struct mr_node *sources)
{
	m->sources = mr_alloc((sources->n + 1) * sizeof *m->sources);
	for (size_t i = 0; i < sources->n; i++) {
		struct mr_str name = shown_name(sources->items[i].text);
		m->sources[m->n_sources++] = mr_strndup(name.p ? name.p : "", name.n);
	}
}

struct mr_source_map *mr_source_map_read(struct mr_str json, const char *bundle)
{
	struct mr_arena a = {0};
	struct mr_error err;
	struct mr_source_map *m = mr_alloc(sizeof *m);
	m->bundle = mr_strdup(bundle);
	const struct mr_node *map = mr_json_read(&a, json, 16, false, &err), *sources = mr_node_get(map, "sources");
	bool ok = sources && sources->kind == MR_ARRAY;
	if (ok) {
		read_sources(m, sources);
		ok = read_mappings(m, mr_node_str(map, "mappings"));
	}
	mr_arena_fini(&a);
	if (!ok)
		mr_source_map_delete(&m);
	return m;
}

void mr_source_map_delete(struct mr_source_map **mp)
{
	struct mr_source_map *m = *mp;
	*mp = NULL;
	if (!m)
		return;
	for (size_t i = 0; i < m->n_sources; i++)
		free(m->sources[i]);
	free(m->sources);
	free(m->pieces);
	free(m->bundle);
	free(m);
}

bool mr_source_map_find(const struct mr_source_map *m, int line, int column, const char **source, int *source_line, int *source_column)
{
	line--;
	column--;
	size_t low = 0, high = m->n; /* the last piece that begins at or before the position */
	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct piece *p = &m->pieces[mid];
		if (p->line < line || (p->line == line && p->column <= column))
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || m->pieces[low - 1].line != line)
		return false;
	const struct piece *p = &m->pieces[low - 1];
	*source = m->sources[p->source];
	*source_line = p->source_line + 1;
	*source_column = p->source_column + 1;
	return true;
}

/* ":12:34" at p: how many bytes it takes, 0 when it is not there. */
static size_t read_place(const char *p, const char *end, int *line, int *column)
{
	int *const to[] = {line, column};
	const char *at = p;
	for (int i = 0; i < 2; i++) {
		if (at == end || *at != ':')
			return 0;
		const char *digits = ++at;
		*to[i] = 0;
		for (; at < end && *at >= '0' && *at <= '9' && at - digits < 9; at++)
			*to[i] = *to[i] * 10 + (*at - '0');
		if (at == digits)
			return 0;
	}
	return (size_t)(at - p);
}

void mr_source_map_text(const struct mr_source_map *m, struct mr_str text, struct mr_buf *out)
{
	if (!text.n)
		return;
	const char *p = text.p, *end = text.p + text.n;
	size_t n = m ? strlen(m->bundle) : 0;
	while (m && p < end) {
		const char *hit = memmem(p, (size_t)(end - p), m->bundle, n);
		if (!hit)
			break;
		int line, column, source_line, source_column;
		const char *source;
		size_t taken = read_place(hit + n, end, &line, &column);
		if (taken && mr_source_map_find(m, line, column, &source, &source_line, &source_column)) {
			mr_buf_add(out, p, (size_t)(hit - p));
			mr_buf_printf(out, "%s:%d:%d", source, source_line, source_column);
		} else {
			mr_buf_add(out, p, (size_t)(hit - p) + n + taken);
		}
		p = hit + n + taken;
	}
	if (end > p)
		mr_buf_add(out, p, (size_t)(end - p));
}
