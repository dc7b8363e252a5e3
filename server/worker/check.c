/* Fields may have rules that neither their type nor the database knows: what JSON looks like, patterns. Functions are checked as they
 * write, in their own run; entity acts of clients ask the engine here, in a slice of their own.
 */
#include "server/js/guard.h"
#include "worker.h"

static bool is_checked(const struct mr_entity *e, const struct mr_node *value)
{
	for (size_t i = 0; i < value->n; i++) {
		int f = mr_entity_field(e, value->items[i].key);
		if (f >= 0 && e->fields[f].checked)
			return true;
	}
	return false;
}

static enum mr_js_end ask(struct mr_job *job, struct mr_str value, struct mr_buf *said, struct mr_error *err)
{
	struct mr_worker *w = job->w;
	MR_ASSERT(!w->slicing);
	w->slicing = job;
	mr_ring_slice(w->ring, job->root, mr_mono_us());
	mr_guard_enter();
	enum mr_js_end end = mr_js_check(w->js, job->entity->name, value, said, err);
	mr_guard_leave();
	mr_ring_slice(w->ring, 0, 0);
	w->slicing = NULL;
	return end;
}

/* A pattern that takes too long for this value is the value's fault as far as its sender is concerned. */
static bool take_answer(struct mr_job *job, struct mr_str said, const struct mr_node **value, struct mr_error *err)
{
	const struct mr_node *answer = mr_json_read(&job->attempt, mr_arena_str(&job->attempt, said), 1024, false, err);
	const struct mr_node *error = answer ? mr_node_get(answer, "error") : NULL;
	if (error) {
		mr_error_from_node(error, err);
		return false;
	}
	*value = answer ? mr_node_get(answer, "value") : NULL;
	return *value || (answer && mr_fail(err, MR_INTERNAL, "The app's runtime did not say what it thinks of a write."));
}

bool mr_check_write(struct mr_job *job, const struct mr_node **value, struct mr_error *err)
{
	if (!is_checked(job->entity, *value))
		return true;
	struct mr_buf said = {0};
	bool ok = ask(job, (*value)->raw, &said, err) == MR_JS_RAN && take_answer(job, mr_buf_view(&said), value, err);
	mr_buf_fini(&said);
	return ok;
}
