/* Bodies on their way out: deflated once, cut once. Threads that need the same thing in the same moment may both make it; the first one is
 * kept. Waiting for each other would be a lock on the way of a frame.
 */
#include "wire.h"

#include <stdlib.h>

#include "proto/ground/refs.h"

struct mr_packed {
	bool pays; /* it is smaller than the text */
	struct mr_buf bytes;
};

static void free_packed(struct mr_packed *p)
{
	if (p)
		mr_buf_fini(&p->bytes);
	free(p);
}

struct mr_wire *mr_wire_new(struct mr_buf *text)
{
	struct mr_wire *w = mr_alloc(sizeof *w);
	atomic_init(&w->refs, 1);
	w->text.n = text->n;
	w->text.p = mr_buf_take(text);
	return w;
}

struct mr_wire *mr_wire_hold(struct mr_wire *w)
{
	mr_refs_hold(&w->refs);
	return w;
}

static void drop_frame(_Atomic(struct mr_frame *) *place)
{
	struct mr_frame *f = atomic_load_explicit(place, memory_order_relaxed);
	mr_frame_drop(&f);
}

void mr_wire_drop(struct mr_wire **wire)
{
	struct mr_wire *w = *wire;
	*wire = NULL;
	if (!w || !mr_refs_drop(&w->refs))
		return;
	for (int d = 0; d < 2; d++) {
		drop_frame(&w->middle[d]);
	}
	free_packed(atomic_load_explicit(&w->packed, memory_order_relaxed));
	free((char *)w->text.p);
	free(w);
}

static struct mr_packed *packed_of(const struct mr_wire *w)
{
	return atomic_load_explicit(&w->packed, memory_order_acquire);
}

static void pack(struct mr_wire *w, struct mr_deflate *d, struct mr_fanout *f)
{
	struct mr_packed *p = mr_alloc(sizeof *p), *there = NULL;
	p->pays = mr_deflate_piece(d, &p->bytes, w->text);
	if (!p->pays)
		mr_buf_fini(&p->bytes);
	f->counter[MR_C_BODIES_DEFLATED_TOTAL] += p->pays;
	f->counter[MR_C_DEFLATE_BYTES_IN_TOTAL] += p->pays ? (int64_t)w->text.n : 0;
	f->counter[MR_C_DEFLATE_BYTES_OUT_TOTAL] += (int64_t)p->bytes.n;
	if (!atomic_compare_exchange_strong_explicit(&w->packed, &there, p, memory_order_acq_rel, memory_order_acquire))
		free_packed(p);
}

bool mr_wire_pays(struct mr_wire *w, struct mr_deflate *d, struct mr_fanout *f)
{
	if (!packed_of(w))
		pack(w, d, f);
	return packed_of(w)->pays;
}

void mr_wire_pack(const struct mr_wire *w, struct mr_buf *out)
{
	const struct mr_packed *p = packed_of(w);
	if (p->pays)
		mr_buf_str(out, mr_buf_view(&p->bytes));
	else
		mr_deflate_store(out, w->text);
}

static struct mr_frame *cut(const struct mr_wire *w, bool deflated)
{
	struct mr_buf packed = {0};
	if (deflated)
		mr_wire_pack(w, &packed);
	struct mr_frame *f = mr_frame_piece(MR_WS_CONT, false, deflated ? mr_buf_view(&packed) : w->text);
	mr_buf_fini(&packed);
	return f;
}

/* Puts a frame where others will find it, unless there is one: takes it over, and gives the one that is there. */
static struct mr_frame *keep(_Atomic(struct mr_frame *) *place, struct mr_frame *frame)
{
	struct mr_frame *there = NULL;
	if (atomic_compare_exchange_strong_explicit(place, &there, frame, memory_order_acq_rel, memory_order_acquire))
		return frame;
	mr_frame_drop(&frame);
	return there;
}

struct mr_frame *mr_wire_middle(struct mr_wire *w, bool deflated)
{
	struct mr_frame *there = atomic_load_explicit(&w->middle[deflated], memory_order_acquire);
	return there ? there : keep(&w->middle[deflated], cut(w, deflated));
}
