#include "news.h"

#include <stdlib.h>

struct mr_moment *mr_moment_new(uint64_t n, const struct mr_position *p, struct mr_str secret)
{
	struct mr_buf text = {0};
	mr_position_print(&text, p, secret);
	struct mr_moment *m = mr_alloc(sizeof *m + text.n);
	m->refs = 1;
	m->n = n;
	mr_position_copy(&m->position, p);
	memcpy(m + 1, text.p, text.n);
	m->text = (struct mr_str){(const char *)(m + 1), text.n};
	mr_buf_fini(&text);
	return m;
}

struct mr_moment *mr_moment_hold(struct mr_moment *m)
{
	m->refs++;
	return m;
}

void mr_moment_drop(struct mr_moment **m)
{
	struct mr_moment *moment = *m;
	*m = NULL;
	if (!moment || --moment->refs)
		return;
	mr_position_fini(&moment->position);
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
	n->refs++;
	return n;
}

void mr_news_drop(struct mr_news **n)
{
	struct mr_news *news = *n;
	*n = NULL;
	if (!news || --news->refs)
		return;
	mr_moment_drop(&news->moment);
	mr_batch_drop(&news->batch);
	mr_board_delete(&news->board);
	free((char *)news->catalog.p);
	free(news);
}
