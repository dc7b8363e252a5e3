/* Functions that are slow from now on (slow.h): the log says so, and what to do. */
#include <stdio.h>

#include "choice.h"
#include "proto/ground/log.h"

static void tell(const struct mr_workers *all, struct mr_str fn, const char *why)
{
	const struct mr_settings *s = &all->hub->settings;
	char where[96];
	all->hub->counter[MR_C_SLOW_FUNCTIONS] = mr_slow_count(all->slow);
	if (all->crew > 1)
		snprintf(where, sizeof where, "run on %lld of %lld workers", (long long)all->crew - 1, (long long)all->crew);
	else
		snprintf(where, sizeof where, "have no workers apart, since there is one in all (workers)");
	mr_log(MR_WARN,
		"%.*s is slow: %s. All other calls of that worker waited meanwhile. Until nothing of the kind was seen for %lld ms "
		"(slow_lease) its calls %s. Let it do less at a time, or raise slow_slice.",
		(int)MR_MIN(fn.n, 200), fn.p, why, (long long)s->slow_lease, where);
}

void mr_workers_slow_slice(struct mr_workers *all, struct mr_str fn, int64_t ms, bool ended)
{
	char why[128];
	if (!mr_slow_note(all->slow, fn, ended ? MR_SLOW_ENDED : MR_SLOW_SLICE, mr_mono_us()))
		return;
	if (ended)
		snprintf(why, sizeof why, "it used %lld ms of CPU without a pause, and was stopped", (long long)ms);
	else
		snprintf(why, sizeof why, "for the second time it used more CPU without a pause (%lld ms) than slow_slice (%lld ms)",
			(long long)ms, (long long)all->hub->settings.slow_slice);
	tell(all, fn, why);
}

void mr_workers_slow_death(struct mr_workers *all, struct mr_str fn, enum mr_reason reason)
{
	static const char *const whys[] = {
		[MR_REASON_NONE] = "its worker died while its code ran",
		[MR_REASON_TIME] = "its worker was ended, for it ran longer than function_time_limit without a pause",
		[MR_REASON_MEMORY] = "its worker was ended, for it used more memory than worker_memory_limit",
	};
	if (mr_slow_note(all->slow, fn, MR_SLOW_ENDED, mr_mono_us()))
		tell(all, fn, whys[reason]);
}

void mr_workers_slow_scheduled(struct mr_workers *all, const char *version, uint64_t running, enum mr_reason reason)
{
	const struct mr_app *app = all->hub->app;
	uint64_t i = running & ~MR_RING_SCHEDULED;
	if (running & MR_RING_SCHEDULED && app && version && mr_str_is(app->version, version) && i < app->n_fns)
		mr_workers_slow_death(all, app->fns[i].name, reason);
}

static void say_leave(struct mr_worker *w, struct mr_str names)
{
	struct mr_buf b = {0};
	mr_buf_z(&b, "{\"t\":\"leave\",\"fns\":");
	mr_buf_str(&b, names);
	mr_buf_char(&b, '}');
	mr_link_send(w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

void mr_workers_tell_kept(struct mr_workers *all)
{
	struct mr_buf names = {0};
	mr_choice_keep(all);
	struct mr_worker *to = mr_slow_count(all->slow) ? all->kept : NULL;
	mr_slow_print(all->slow, &names);
	if (all->told && all->told != to)
		say_leave(all->told, MR_STR("[]"));
	if (to && (all->told != to || !mr_str_eq(mr_buf_view(&names), mr_buf_view(&all->leave))))
		say_leave(to, mr_buf_view(&names));
	all->told = to;
	mr_buf_fini(&all->leave);
	all->leave = names;
}
