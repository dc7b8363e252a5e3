#include "whole.h"

#include <stdlib.h>

#include "aside.h"
#include "deflate.h"
#include "hub.h"
#include "proto/ground/log.h"
#include "session.h"

enum {
	SAMPLE = 8,        /* rows that tell how long the others are */
	LONG = 64 << 10,   /* from here on bytes since are told with it: */
	PART_OF_WHOLE = 4, /* as long as they are less than this part of it */
};

struct mr_whole {
	struct mr_wire *wire; /* NULL: it is being made */
	struct making *making;
	uint64_t at;  /* the last body that it holds */
	size_t since; /* bytes of those after it */
};

/* What is needed to make one aside. */
struct making {
	struct mr_instance *inst;
	struct mr_fanout *f;
	struct mr_whole *whole; /* NULL: nobody wants it any more */
	struct mr_app *app;
	enum mr_encoding encoding;
	bool deflated; /* somebody gets it so */
	uint64_t number, hash;
	const struct mr_item **items;
	size_t n;
	struct mr_order *order;
	size_t n_order;
	struct mr_wire *wire;
};

static void drop(struct mr_whole **whole)
{
	struct mr_whole *w = *whole;
	*whole = NULL;
	if (!w)
		return;
	if (w->making)
		w->making->whole = NULL;
	mr_wire_drop(&w->wire);
	free(w);
}

void mr_whole_clear(struct mr_instance *inst)
{
	for (int e = 0; e < MR_ENCODINGS; e++)
		drop(&inst->whole[e]);
}

void mr_whole_told(struct mr_instance *inst)
{
	for (int e = 0; e < MR_ENCODINGS; e++)
		if (inst->whole[e] && inst->whole[e]->wire)
			drop(&inst->whole[e]);
}

void mr_whole_age(struct mr_instance *inst, const struct mr_body *b)
{
	for (int e = 0; e < MR_ENCODINGS; e++) {
		struct mr_whole *w = inst->whole[e];
		if (!w)
			continue;
		w->since += b->wire[e] ? b->wire[e]->text.n : 0;
		bool serves = w->wire && w->wire->text.n >= LONG && w->since <= w->wire->text.n / PART_OF_WHOLE;
		if (!b->wire[e] || !inst->entity || !(serves || w->making))
			drop(&inst->whole[e]);
	}
}

uint64_t mr_whole_since(const struct mr_instance *inst)
{
	uint64_t n = UINT64_MAX;
	for (int e = 0; e < MR_ENCODINGS; e++)
		n = inst->whole[e] ? MR_MIN(n, inst->whole[e]->at) : n;
	return n;
}

static struct mr_whole *find(struct mr_instance *inst, enum mr_encoding encoding)
{
	struct mr_whole **w = &inst->whole[encoding];
	if (*w && inst->lost > (*w)->at)
		drop(w);
	return *w;
}

static struct mr_whole *new_whole(struct mr_instance *inst, enum mr_encoding encoding)
{
	struct mr_whole *w = mr_alloc(sizeof *w);
	w->at = inst->last;
	inst->whole[encoding] = w;
	mr_instance_trim_later(inst);
	return w;
}

/* --- at once --- */

static struct mr_wire *encode(struct mr_instance *inst, enum mr_encoding encoding)
{
	struct mr_buf text = {0};
	if (inst->failure)
		mr_body_error(&text, encoding, inst->number, inst->hash, &inst->failure->why);
	else if (inst->entity)
		mr_body_rows(&text, encoding, inst->number, inst->hash, &inst->rows);
	else
		mr_instance_encode_result(&text, encoding, inst);
	return mr_wire_new(&text);
}

/* --- aside --- */

static void make(void *arg)
{
	struct making *m = arg;
	struct mr_buf text = {0};
	mr_body_items(&text, m->encoding, m->number, m->hash, m->items, m->n, (struct mr_rows_order){m->order, m->n_order});
	m->wire = mr_wire_new(&text);
	if (m->deflated) {
		struct mr_deflate *d = mr_deflate_new();
		m->deflated = mr_wire_pays(m->wire, d, m->f);
		mr_deflate_delete(&d);
	}
	mr_wire_middle(m->wire, m->deflated);
}

static void made(void *arg)
{
	struct making *m = arg;
	for (size_t i = 0; i < m->n; i++) {
		struct mr_item *item = (struct mr_item *)m->items[i];
		mr_item_drop(&item);
	}
	if (m->whole) {
		m->whole->making = NULL;
		m->whole->wire = m->wire;
		mr_subs_news(m->inst);
	} else {
		mr_wire_drop(&m->wire);
	}
	mr_app_drop(&m->app);
	free(m->items);
	free(m->order);
	mr_sessions_advance(m->f->sessions);
	free(m);
}

static bool somebody_deflates(const struct mr_instance *inst)
{
	for (size_t i = 0; i < inst->n_subs; i++) {
		const struct mr_session *s = mr_instance_subs(inst)[i]->session;
		if (s->ws && mr_ws_deflate(s->ws))
			return true;
	}
	return false;
}

static void make_aside(struct mr_instance *inst, struct mr_whole *w, enum mr_encoding encoding)
{
	const struct mr_rowset *rs = &inst->rows;
	struct making *m = mr_alloc(sizeof *m);
	*m = (struct making){.inst = inst,
		.f = inst->all->f,
		.whole = w,
		.app = mr_app_hold(inst->app),
		.encoding = encoding,
		.deflated = somebody_deflates(inst),
		.number = inst->number,
		.hash = inst->hash,
		.n = mr_rowset_size(rs),
		.n_order = rs->n_order};
	m->items = mr_alloc((m->n + 1) * sizeof *m->items);
	for (size_t i = 0, at = 0; i < m->n; i++)
		m->items[i] = mr_item_hold((struct mr_item *)mr_rowset_next(rs, &at));
	m->order = mr_alloc((m->n_order + 1) * sizeof *m->order);
	memcpy(m->order, rs->order, m->n_order * sizeof *m->order);
	w->making = m;
	mr_aside_do(m->f->hub->aside, m->f->loop, make, made, m);
}

static bool is_long(const struct mr_instance *inst)
{
	return inst->entity && !inst->failure && mr_rowset_size(&inst->rows) >= MR_ASIDE_ROWS;
}

struct mr_wire *mr_whole(struct mr_instance *inst, enum mr_encoding encoding, uint64_t *at)
{
	struct mr_whole *w = find(inst, encoding);
	MR_ASSERT(inst->ready);
	if (!w && is_long(inst)) {
		make_aside(inst, new_whole(inst, encoding), encoding);
		w = inst->whole[encoding];
	} else if (!w) {
		w = new_whole(inst, encoding);
		w->wire = encode(inst, encoding);
	}
	*at = w->at;
	return w->wire;
}

static size_t row_bytes(const struct mr_entity *e, const struct mr_row *row)
{
	size_t bytes = 0;
	for (size_t i = 0; i < e->n; i++)
		bytes += e->fields[i].name.n + (row->v[i].text.n ? row->v[i].text.n : sizeof(int64_t));
	return bytes;
}

static size_t estimate(const struct mr_instance *inst)
{
	const struct mr_item *item;
	size_t n = 0, bytes = 0;
	if (!inst->entity)
		return inst->run->result.n;
	for (size_t i = 0; n < SAMPLE && (item = mr_rowset_next(&inst->rows, &i)); n++)
		bytes += row_bytes(inst->entity, &item->row);
	return n ? mr_rowset_size(&inst->rows) * bytes / n : 0;
}

size_t mr_whole_size(struct mr_instance *inst, enum mr_encoding encoding)
{
	uint64_t at;
	const struct mr_whole *w = find(inst, encoding);
	if ((!w && is_long(inst)) || (w && !w->wire))
		return estimate(inst);
	size_t n = mr_whole(inst, encoding, &at)->text.n;
	return n + (w ? w->since : 0);
}
