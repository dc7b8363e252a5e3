#include "transition.h"

#include <stdlib.h>

#include "clock.h"
#include "proto/ground/atomic.h"
#include "proto/ground/log.h"
#include "session.h"
#include "share.h"

enum {
	LONG_BODY = 16 << 10, /* from here on a body is not copied into the client's message */
	MESSAGE_MOST = 1024,  /* so much that is this client's own is not worth deflating */
};

void mr_transition_fini(struct mr_transition *t)
{
	mr_buf_fini(&t->acks);
	mr_buf_fini(&t->own);
	mr_buf_fini(&t->replies);
	if (t->parts != t->few)
		free(t->parts);
}

/* --- collecting --- */

static void add_part(struct mr_transition *t, struct mr_part part)
{
	if (!t->parts) {
		t->parts = t->few;
		t->cap = MR_COUNT(t->few);
	}
	if (t->n_bodies == t->cap) {
		bool few = t->parts == t->few;
		t->cap *= 2;
		t->parts = mr_realloc(few ? NULL : t->parts, t->cap * sizeof *t->parts);
		if (few)
			memcpy(t->parts, t->few, sizeof t->few);
	}
	t->parts[t->n_bodies++] = part;
}

void mr_transition_body(struct mr_transition *t, struct mr_wire *wire, bool common)
{
	bool is_long = wire->text.n >= LONG_BODY;
	t->common = common && !is_long && (t->common || !t->n_bodies);
	add_part(t, (struct mr_part){.wire = wire, .lone = !common && !is_long});
}

struct mr_buf *mr_transition_own(struct mr_transition *t)
{
	return &t->own;
}

void mr_transition_own_done(struct mr_transition *t)
{
	const struct mr_part *last = NULL;
	for (size_t i = t->n_bodies; i-- > 0 && !last;)
		last = t->parts[i].wire ? NULL : &t->parts[i];
	size_t from = last ? last->from + last->n : 0;
	t->common = false;
	add_part(t, (struct mr_part){.from = from, .n = t->own.n - from});
}

void mr_transition_comma(struct mr_buf *b, enum mr_encoding encoding, size_t already)
{
	if (encoding == MR_JSON && already)
		mr_buf_char(b, ',');
}

/* --- printing --- */

static void enc_list(struct mr_enc *e, struct mr_str key, const struct mr_buf *list, size_t n)
{
	if (!n)
		return;
	mr_enc_key(e, key);
	mr_enc_list(e, n, mr_buf_view(list));
}

/* Everything but the bodies; returns where they belong. */
static size_t print_frame(struct mr_buf *b, const struct mr_transition *t, struct mr_session *s, bool position)
{
	struct mr_enc e;
	size_t at = 0;
	mr_enc_init(&e, b, s->encoding);
	mr_enc_map(&e, 2 + position + (t->n_acks > 0) + (t->n_bodies > 0) + (t->n_replies > 0));
	mr_enc_key(&e, MR_STR("t"));
	mr_enc_str(&e, MR_STR("transition"));
	mr_enc_key(&e, MR_STR("n"));
	mr_enc_int(&e, (int64_t)t->n);
	if (position) {
		mr_enc_key(&e, MR_STR("p"));
		mr_enc_str(&e, mr_clock_position(s->all->f->clock, t->n));
	}
	enc_list(&e, MR_STR("q"), &t->acks, t->n_acks);
	if (t->n_bodies) {
		mr_enc_key(&e, MR_STR("b"));
		at = mr_enc_list_around(&e, t->n_bodies);
	}
	enc_list(&e, MR_STR("r"), &t->replies, t->n_replies);
	mr_enc_end(&e);
	return t->n_bodies ? at : b->n;
}

static struct mr_str text_of(const struct mr_transition *t, const struct mr_part *p)
{
	return p->wire ? p->wire->text : (struct mr_str){t->own.p + p->from, p->n};
}

/* --- sending --- */

/* The message as far as it has gone. */
struct message {
	struct mr_session *s;
	struct mr_deflate *deflate; /* NULL: it is sent as it is */
	struct mr_buf text;         /* not yet in `out` */
	struct mr_buf out;          /* of the frame in the making */
	bool begun;                 /* fragments of it have been sent */
};

static void settle(struct message *m)
{
	if (!m->deflate || !m->text.n)
		return;
	mr_deflate_piece(m->deflate, &m->out, mr_buf_view(&m->text));
	mr_buf_reset(&m->text);
}

static void add_text(struct message *m, struct mr_str text)
{
	mr_buf_str(m->deflate ? &m->text : &m->out, text);
}

static struct mr_frame *close_frame(struct message *m, bool final)
{
	int opcode = m->s->encoding == MR_JSON ? MR_WS_TEXT : MR_WS_BINARY, first = opcode | (m->deflate ? MR_WS_RSV1 : 0);
	settle(m);
	if (m->deflate && final)
		mr_deflate_end(&m->out);
	struct mr_frame *f = mr_frame_piece(m->begun ? MR_WS_CONT : first, final, mr_buf_view(&m->out));
	mr_buf_reset(&m->out);
	m->begun = true;
	return f;
}

static void add_body(struct message *m, const struct mr_transition *t, const struct mr_part *p)
{
	struct mr_str text = text_of(t, p);
	if (p->wire && text.n >= LONG_BODY) {
		struct mr_frame *before = close_frame(m, false);
		mr_ws_send(m->s->ws, before);
		mr_ws_send(m->s->ws, mr_wire_middle(p->wire, m->deflate != NULL));
		mr_frame_drop(&before);
	} else if (p->wire && !p->lone && m->deflate) {
		settle(m);
		mr_wire_pack(p->wire, &m->out);
	} else {
		add_text(m, text);
	}
}

/* Whether deflating makes it smaller: bodies that others get too, each by itself, or much that is its own, in one piece. */
static bool pays(const struct mr_transition *t, struct mr_session *s, struct mr_deflate *d)
{
	size_t own = t->acks.n + t->own.n + t->replies.n;
	bool any = false;
	for (size_t i = 0; i < t->n_bodies; i++) {
		struct mr_wire *wire = t->parts[i].wire;
		if (t->parts[i].lone)
			own += wire->text.n;
		else if (wire)
			any |= mr_wire_pays(wire, d, s->all->f);
	}
	return any || own > MESSAGE_MOST;
}

/* Sends all fragments but the last, and returns that. */
static struct mr_frame *put_together(const struct mr_transition *t, struct mr_session *s, struct mr_deflate *d, bool position)
{
	struct message m = {.s = s, .deflate = d};
	struct mr_buf frame = {0};
	size_t at = print_frame(&frame, t, s, position);
	add_text(&m, (struct mr_str){frame.p, at});
	for (size_t i = 0; i < t->n_bodies; i++) {
		if (i && s->encoding == MR_JSON)
			add_text(&m, MR_STR(","));
		add_body(&m, t, &t->parts[i]);
	}
	add_text(&m, (struct mr_str){frame.p + at, frame.n - at});
	struct mr_frame *last = close_frame(&m, true);
	mr_buf_fini(&frame);
	mr_buf_fini(&m.text);
	mr_buf_fini(&m.out);
	return last;
}

static void send_events(const struct mr_transition *t, struct mr_session *s, bool position)
{
	struct mr_buf b = {0}, frame = {0};
	size_t at = print_frame(&frame, t, s, position);
	mr_buf_add(&b, frame.p, at);
	for (size_t i = 0; i < t->n_bodies; i++) {
		mr_transition_comma(&b, s->encoding, i);
		mr_buf_str(&b, text_of(t, &t->parts[i]));
	}
	mr_buf_add(&b, frame.p + at, frame.n - at);
	mr_session_send(s, mr_buf_view(&b));
	mr_buf_fini(&frame);
	mr_buf_fini(&b);
}

void mr_transition_send(struct mr_transition *t, struct mr_session *s, bool position)
{
	mr_count_own(&s->all->f->counter[MR_C_TRANSITIONS_TOTAL], 1);
	if (!s->ws) {
		send_events(t, s, position);
		return;
	}
	struct mr_deflate *d = mr_ws_deflate(s->ws);
	if (d && !pays(t, s, d))
		d = NULL;
	struct mr_manner manner = {s->encoding, d != NULL, position};
	struct mr_frame *f = mr_share_find(s->all->share, t, &manner);
	if (f) {
		mr_ws_send_at_once(s->ws, f);
		return;
	}
	f = put_together(t, s, d, position);
	mr_ws_send_at_once(s->ws, f);
	mr_share_keep(s->all->share, t, &manner, f);
}
