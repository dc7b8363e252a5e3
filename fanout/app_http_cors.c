#include <inttypes.h>
#include <stdio.h>

#include "app_http_inner.h"

static bool is_named(const struct mr_cors *cors, struct mr_str origin)
{
	for (size_t i = 0; i < cors->n_origins; i++)
		if (mr_str_eq(cors->origins[i], origin))
			return true;
	return false;
}

/* Whether a page of that origin may; says so. */
static bool say_origin(struct mr_req *req, const struct mr_cors *cors)
{
	struct mr_str origin = mr_req_header(req, "origin");
	if (!cors->any && !is_named(cors, origin))
		return false;
	mr_req_append_header(req, MR_STR("Access-Control-Allow-Origin"), cors->any ? MR_STR("*") : origin);
	if (cors->credentials)
		mr_req_append_header(req, MR_STR("Access-Control-Allow-Credentials"), MR_STR("true"));
	return true;
}

void mr_cors_say(struct mr_req *req, const struct mr_cors *cors)
{
	if (!cors->declared)
		return;
	if (!cors->any)
		mr_req_append_header(req, MR_STR("Vary"), MR_STR("Origin"));
	if (say_origin(req, cors) && cors->exposed.n)
		mr_req_append_header(req, MR_STR("Access-Control-Expose-Headers"), cors->exposed);
}

void mr_cors_preflight(struct mr_req *req, const struct mr_cors *cors, struct mr_str methods)
{
	char age[24];
	int n = snprintf(age, sizeof age, "%" PRId64, cors->max_age);
	mr_req_append_header(req, MR_STR("Vary"), MR_STR("Origin, Access-Control-Request-Method"));
	if (say_origin(req, cors)) {
		mr_req_append_header(req, MR_STR("Access-Control-Allow-Methods"), methods);
		mr_req_append_header(req, MR_STR("Access-Control-Allow-Headers"), cors->headers);
		mr_req_append_header(req, MR_STR("Access-Control-Max-Age"), (struct mr_str){age, (size_t)n});
	}
	mr_req_reply(req, 204, NULL, MR_STR(""));
}

/* A page of this very server: which scheme a proxy in front of it speaks is not known here. */
static bool is_own(const struct mr_req *req, struct mr_str origin)
{
	struct mr_str host = mr_req_header(req, "host");
	const char *at = memmem(origin.p, origin.n, "://", 3);
	if (!at || (size_t)(origin.p + origin.n - at) != host.n + 3)
		return false;
	return strncasecmp(at + 3, host.p, host.n) == 0;
}

bool mr_cors_cookies(const struct mr_req *req, const struct mr_cors *cors)
{
	struct mr_str origin = mr_req_header(req, "origin");
	return !origin.p || is_own(req, origin) || (cors->credentials && is_named(cors, origin));
}
