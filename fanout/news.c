#include "news.h"

#include <stdlib.h>

#include "proto/ground/refs.h"

struct mr_moment_text {
	size_t n;
	char text[];
};

struct mr_moment *mr_moment_new(uint64_t n, const struct mr_position *p)
{
	struct mr_moment *m = mr_alloc(sizeof *m);
	m->refs = 1;
	m->n = n;
	mr_position_copy(&m->position, p);
	return m;
}

/* A signature costs more than all else of a tick that shows nothing; positions travel seldom. */
static struct mr_moment_text *print(const struct mr_moment *m, struct mr_str secret)
{
	struct mr_buf b = {0};
	mr_position_print(&b, &m->position, secret);
	struct mr_moment_text *text = mr_alloc(sizeof *text + b.n);
	text->n = b.n;
	memcpy(text->text, b.p, b.n);
	mr_buf_fini(&b);
	return text;
}

struct mr_str mr_moment_text(struct mr_moment *m, struct mr_str secret)
{
	struct mr_moment_text *text = atomic_load(&m->text), *mine;
	if (!text) {
		mine = print(m, secret);
		if (atomic_compare_exchange_strong(&m->text, &text, mine))
			text = mine;
		else
			free(mine); /* another thread was first */
	}
	return (struct mr_str){text->text, text->n};
}

struct mr_moment *mr_moment_hold(struct mr_moment *m)
{
	mr_refs_hold(&m->refs);
	return m;
}

void mr_moment_drop(struct mr_moment **m)
{
	struct mr_moment *moment = *m;
	*m = NULL;
	if (!moment || !mr_refs_drop(&moment->refs))
		return;
	mr_position_fini(&moment->position);
	free(atomic_load(&moment->text));
	free(moment);
}

struct mr_news *mr_news_new(void)
{
	struct mr_news *n = mr_alloc(sizeof *n);
	n->refs = 1;
	return n;
}

struct mr_news *mr_news_hold(struct mr_news *n)
{
	mr_refs_hold(&n->refs);
	return n;
}

void mr_news_drop(struct mr_news **n)
{
	struct mr_news *news = *n;
	*n = NULL;
	if (!news || !mr_refs_drop(&news->refs))
		return;
	mr_moment_drop(&news->moment);
	mr_batch_drop(&news->batch);
	mr_board_delete(&news->board);
	free((char *)news->catalog.p);
	free(news);
}
