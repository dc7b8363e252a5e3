#include "slow.h"

#include <stdlib.h>

#include "proto/ground/hash.h"
#include "proto/ground/node.h"

struct function {
	bool slow;
	int64_t until_us;
};

struct mr_slow {
	const struct mr_settings *settings;
	struct mr_map by_name; /* also those of one offence */
	int64_t n;             /* that are slow */
};

struct mr_slow *mr_slow_new(const struct mr_settings *settings)
{
	struct mr_slow *slow = mr_alloc(sizeof *slow);
	slow->settings = settings;
	return slow;
}

void mr_slow_delete(struct mr_slow **slow)
{
	if (!*slow)
		return;
	mr_slow_forget(*slow);
	mr_map_fini(&(*slow)->by_name);
	free(*slow);
	*slow = NULL;
}

bool mr_slow_note(struct mr_slow *slow, struct mr_str fn, enum mr_offence what, int64_t now_us)
{
	if (!slow->settings->slow_slice || !fn.n)
		return false;
	struct function *f = mr_map_get(&slow->by_name, fn);
	bool again = f && now_us < f->until_us;
	if (!f)
		f = mr_map_make(&slow->by_name, fn, sizeof *f);
	f->until_us = now_us + slow->settings->slow_lease * 1000;
	/* Once may be bad luck: code that is not warm yet, or a collection of others' garbage. */
	bool becomes = !f->slow && (again || what == MR_SLOW_ENDED);
	f->slow |= becomes;
	slow->n += becomes;
	return becomes;
}

bool mr_slow_is(const struct mr_slow *slow, struct mr_str fn)
{
	const struct function *f = slow->n ? mr_map_get(&slow->by_name, fn) : NULL;
	return f && f->slow;
}

static void expire(struct mr_slow *slow, bool all, int64_t now_us)
{
	struct mr_str key;
	void *value;
	for (size_t i = 0; mr_map_next(&slow->by_name, &i, &key, &value);) {
		struct function *f = value;
		if (!all && now_us < f->until_us)
			continue;
		slow->n -= f->slow;
		mr_map_del(&slow->by_name, key);
		free(f);
	}
}

void mr_slow_expire(struct mr_slow *slow, int64_t now_us)
{
	expire(slow, false, now_us);
}

void mr_slow_forget(struct mr_slow *slow)
{
	expire(slow, true, 0);
}

int64_t mr_slow_count(const struct mr_slow *slow)
{
	return slow->n;
}

void mr_slow_print(const struct mr_slow *slow, struct mr_buf *b)
{
	struct mr_str key;
	void *value;
	char before = '[';
	for (size_t i = 0; mr_map_next(&slow->by_name, &i, &key, &value);)
		if (((const struct function *)value)->slow) {
			mr_buf_char(b, before);
			mr_json_quote(b, key);
			before = ',';
		}
	mr_buf_z(b, before == '[' ? "[]" : "]");
}
