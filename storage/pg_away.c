/* What a process says while Postgres cannot be reached: a line when it goes, one when it comes back, and one every now and then between,
 * however many connections are tried meanwhile. */
#include "pg.h"

#include "proto/ground/log.h"
#include "proto/ground/loop.h"

enum { SAY_EVERY_US = 10 * 1000 * 1000 };

static _Thread_local int64_t since_us, said_us; /* 0: it is there */

void mr_pg_away(const char *name, const struct mr_error *err)
{
	int64_t now = mr_mono_us();
	if (!since_us)
		mr_log(MR_WARN, "%s: %s", name, err->message);
	else if (now - said_us >= SAY_EVERY_US)
		mr_log(MR_WARN, "%s: %s (for %d s by now)", name, err->message, (int)((now - since_us) / 1000000));
	else
		return;
	said_us = now;
	if (!since_us)
		since_us = now;
}

void mr_pg_back(void)
{
	if (since_us)
		mr_log(MR_INFO, "Postgres answers again, after %.1f s", (double)(mr_mono_us() - since_us) / 1e6);
	since_us = 0;
}
