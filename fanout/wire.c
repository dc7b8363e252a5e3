/* Bodies on their way out: deflated once, cut once. */
#include "body.h"

void mr_wire_fini(struct mr_wire *w)
{
	mr_buf_fini(&w->packed);
	for (int d = 0; d < 2; d++) {
		mr_frame_drop(&w->middle[d]);
		mr_frame_drop(&w->alone[d][0]);
		mr_frame_drop(&w->alone[d][1]);
	}
	w->tried = w->pays = false;
}

bool mr_wire_pays(struct mr_wire *w, struct mr_str text, struct mr_deflate *d, struct mr_fanout *f)
{
	if (w->tried)
		return w->pays;
	w->tried = true;
	w->pays = mr_deflate_piece(d, &w->packed, text);
	if (!w->pays) {
		mr_buf_fini(&w->packed);
		return false;
	}
	f->counter[MR_C_BODIES_DEFLATED_TOTAL]++;
	f->counter[MR_C_DEFLATE_BYTES_IN_TOTAL] += (int64_t)text.n;
	f->counter[MR_C_DEFLATE_BYTES_OUT_TOTAL] += (int64_t)w->packed.n;
	return true;
}

void mr_wire_pack(const struct mr_wire *w, struct mr_str text, struct mr_buf *out)
{
	if (w->pays)
		mr_buf_str(out, mr_buf_view(&w->packed));
	else
		mr_deflate_store(out, text);
}

struct mr_frame *mr_wire_middle(struct mr_wire *w, struct mr_str text, bool deflated)
{
	struct mr_frame **f = &w->middle[deflated];
	struct mr_buf stored = {0};

	if (*f)
		return *f;
	if (deflated && !w->pays)
		mr_deflate_store(&stored, text);
	*f = mr_frame_piece(MR_WS_CONT, false, !deflated ? text : mr_buf_view(w->pays ? &w->packed : &stored));
	mr_buf_fini(&stored);
	return *f;
}
