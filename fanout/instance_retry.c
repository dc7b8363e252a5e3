/* Entity queries that fail are read again after a second, then after two, four, ... at most a minute, at a snapshot of their own: what made
 * them fail (too many rows, too large ones, a time limit, rows that do not fit) may be over without any change that tells so. Alterations
 * of their table are seen at once (catalog.h). Functions are run again in the same way when it was not they that said no.
 */
#include "instance_sets.h"
#include "work.h"

enum { RETRY_FIRST_US = 1000 * 1000, RETRY_MOST_US = 60 * 1000 * 1000 };

static bool may_pass(const struct mr_instance *inst)
{
	enum mr_code code = inst->failure->why.code;
	return inst->entity || code == MR_TIME_LIMIT || code == MR_MEMORY_LIMIT || code == MR_WORKER_CRASHED;
}

void mr_instance_retry_later(struct mr_instance *inst)
{
	struct mr_failure *failure = inst->failure;
	if (!may_pass(inst))
		mr_list_del(&failure->in_failed);
	if (!may_pass(inst) || mr_list_linked(&failure->in_failed))
		return;
	failure->retry_wait = RETRY_FIRST_US;
	failure->retry_at = mr_mono_us() + failure->retry_wait;
	failure->shrank = false;
	mr_list_add_tail(&inst->all->failed, &failure->in_failed);
}

static bool is_due(const struct mr_failure *failure, int64_t now)
{
	const struct mr_instance *inst = failure->instance;
	bool hopeless = (failure->why.code == MR_TOO_MANY_ROWS || failure->why.code == MR_TOO_LARGE) && !failure->shrank;
	return !inst->work && !inst->dirty && mr_sets_serve(inst) && now >= failure->retry_at && !hopeless;
}

void mr_instances_retry(struct mr_instances *all, int64_t now)
{
	MR_LIST_FOR (e, &all->failed) {
		struct mr_failure *failure = MR_CONTAINER(e, struct mr_failure, in_failed);
		if (!is_due(failure, now))
			continue;
		failure->shrank = false;
		failure->retry_wait = MR_MIN(2 * failure->retry_wait, (int64_t)RETRY_MOST_US);
		failure->retry_at = now + failure->retry_wait;
		mr_work_begin(failure->instance);
	}
}
