/* Routes of the app's own HTTP (docs/http.md): what a path of a route says, and which route a request is for.
 *
 * A route's path is parts between slashes: text, a parameter `:name`, and as its last part `*`, the rest (which may be empty). The path of
 * a request is taken apart at its slashes first and each part percent-decoded then, so that an escaped slash is a character of a parameter
 * like others. Of several routes that fit, the one that is more particular at the first part in which they differ is meant: text before a
 * parameter, a parameter before the rest. A route that lacks the method is passed over.
 */
#ifndef MR_ROUTES_H
#define MR_ROUTES_H

#include "schema.h"

enum { MR_ROUTE_PARAMS = 32, MR_ROUTES_MOST = 2000 };

enum mr_part_kind { MR_PART_TEXT, MR_PART_PARAM, MR_PART_REST }; /* in their order */
struct mr_part {
	enum mr_part_kind kind;
	struct mr_str text; /* the text itself, decoded, or the parameter's name ("*" for the rest) */
};

/* Who may read answers from pages of other origins. */
struct mr_cors {
	bool declared, any; /* any: every origin */
	bool credentials;   /* cookies too; never with `any` */
	const struct mr_str *origins;
	size_t n_origins;
	struct mr_str headers; /* that a page may send, as the header's value has them */
	struct mr_str exposed; /* that a page may read besides the usual ones, or empty */
	int64_t max_age;       /* seconds for which a preflight is good */
};

struct mr_route {
	struct mr_fn fn;    /* its name: the methods with commas, a blank, the path */
	struct mr_str path; /* as declared */
	const struct mr_part *parts;
	size_t n;
	const struct mr_str *methods;
	size_t n_methods;
	struct mr_cors cors;
};

/* The parts of a route's path, in the arena. false and *why, a sentence's end: it is none, or belongs to the server. */
bool mr_route_parts(struct mr_arena *a, struct mr_str path, const struct mr_part **parts, size_t *n, const char **why);
/* As qsort wants it: the more particular one first; 0: no request could tell the two apart. Of struct mr_route. */
int mr_route_cmp(const void *a, const void *b);

struct mr_route_match {
	const struct mr_route *route;          /* NULL: none has path and method */
	bool found;                            /* some route has the path */
	struct mr_str values[MR_ROUTE_PARAMS]; /* of the parameters, in their order, decoded, in the arena */
	struct mr_str methods;                 /* all that the path has, with ", ", when no route is found for this one; in the arena */
};
/* `path` is what stands in the request line, without the query; `method`: HEAD is served by GET where no route has it itself. A path with a
 * bad escape, a control character, or a part `.` or `..` is nobody's. */
void mr_routes_find(const struct mr_app *app, struct mr_arena *a, struct mr_str path, struct mr_str method, struct mr_route_match *match);
bool mr_route_has(const struct mr_route *route, struct mr_str method); /* HEAD where it has GET */

bool mr_is_http_token(struct mr_str s); /* the name of a header, by RFC 9110 */

/* For schema.c: the manifest's "routes" (may be absent). */
bool mr_app_read_routes(struct mr_app *app, const struct mr_node *list, struct mr_error *err);

#endif
