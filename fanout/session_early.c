/* Before the first app is there (the fanout has just started, workers are on their way), what clients ask is kept for a moment and done in
 * its order, rather than refused. */
#include <stdlib.h>

#include "session.h"

enum { WAIT_US = 10 * 1000 * 1000 };

static bool may_wait(const struct mr_session *s, size_t n)
{
	const struct mr_sessions *all = s->all;
	size_t max = (size_t)all->f->settings.max_frame;
	return !s->early_over && !all->f->app && !all->build_error && mr_mono_us() < all->early_until && s->early.n + n + sizeof n <= max;
}

bool mr_session_keep_early(struct mr_session *s, struct mr_str payload)
{
	if (!s->id.n)
		return false; /* hello */
	if (!may_wait(s, payload.n)) {
		mr_session_do_early(s);
		return false;
	}
	mr_buf_add(&s->early, &payload.n, sizeof payload.n);
	mr_buf_str(&s->early, payload);
	if (!mr_list_linked(&s->in_early))
		mr_list_add_tail(&s->all->early, &s->in_early);
	return true;
}

void mr_session_do_early(struct mr_session *s)
{
	struct mr_buf kept = s->early;
	s->early_over = true;
	s->early = (struct mr_buf){0};
	mr_list_del(&s->in_early);
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
		mr_session_do_early(MR_CONTAINER(all->early.next, struct mr_session, in_early));
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
