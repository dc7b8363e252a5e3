/* Before the first app is there (the fanout has just started, workers are on their way), what clients ask is kept for a moment and done in
 * its order, rather than refused. */
#include <stdlib.h>

#include "session.h"

enum { WAIT_US = 10 * 1000 * 1000 };

static bool may_wait(const struct mr_session *s, size_t n)
{
	const struct mr_sessions *all = s->all;
	size_t max = (size_t)all->f->settings.max_frame;
	size_t used = s->early ? s->early->n : 0;
	return !s->early_over && !all->f->app && !all->build_error && mr_mono_us() < all->early_until && used + n + sizeof n <= max;
}

bool mr_session_keep_early(struct mr_session *s, struct mr_str payload)
{
	if (!s->id.n)
		return false; /* hello */
	if (!may_wait(s, payload.n)) {
		mr_session_do_early(s);
		return false;
	}
	if (!s->early) {
		s->early = mr_alloc(sizeof *s->early);
		mr_list_add_tail(&s->all->early, &s->in_all);
	}
	mr_buf_add(s->early, &payload.n, sizeof payload.n);
	mr_buf_str(s->early, payload);
	return true;
}

static struct mr_buf take_early(struct mr_session *s)
{
	struct mr_buf kept = {0};
	if (!s->early)
		return kept;
	mr_list_del(&s->in_all);
	kept = *s->early;
	free(s->early);
	s->early = NULL;
	return kept;
}

void mr_session_drop_early(struct mr_session *s)
{
	struct mr_buf kept = take_early(s);
	mr_buf_fini(&kept);
}

void mr_session_do_early(struct mr_session *s)
{
	struct mr_buf kept = take_early(s);
	s->early_over = true;
	for (size_t at = 0, n; at < kept.n; at += n) {
		memcpy(&n, kept.p + at, sizeof n);
		at += sizeof n;
		mr_session_handle(s, (struct mr_str){kept.p + at, n});
	}
	mr_buf_fini(&kept);
}

void mr_sessions_do_early(struct mr_sessions *all)
{
	while (!mr_list_empty(&all->early))
		mr_session_do_early(MR_CONTAINER(all->early.next, struct mr_session, in_all));
}

void mr_sessions_early_init(struct mr_sessions *all)
{
	mr_list_init(&all->early);
	all->early_until = mr_mono_us() + WAIT_US;
}

void mr_sessions_early_check(struct mr_sessions *all, int64_t now)
{
	if (now >= all->early_until)
		mr_sessions_do_early(all);
}
