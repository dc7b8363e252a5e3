/* Private to api*.c and live.c: what the routes share. */
#ifndef MR_API_INNER_H
#define MR_API_INNER_H

#include "api.h"
#include "proto/jwt.h"

/* Method of the request, HEAD counted as GET. */
bool mr_api_is(const struct mr_req *req, const char *method);
/* Whose the bearer token is; t->identity NULL without one. Counted as a call of it. false: bad_token, token_expired, session_revoked,
 * keys_unavailable, rate_limited. */
bool mr_api_identity(struct mr_req *req, struct mr_fanout *f, struct mr_token *t, struct mr_error *err);
/* The body as a JSON map; an empty body is an empty map. *text: its text. NULL: bad_message. */
const struct mr_node *mr_api_body(struct mr_req *req, const struct mr_fanout *f, struct mr_str *text, struct mr_error *err);
/* Refuses parameters that are not in the NULL-terminated list `known`. */
bool mr_api_params(struct mr_req *req, const char *const *known, struct mr_error *err);
extern const char *const mr_api_no_params[], *const mr_api_list_params[];
/* Appends `"entity":..,"where":..,"include":..,"order":..,"limit":..`, members of a JSON map, from the parameters where, include, orderBy
 * and limit. */
bool mr_api_list(struct mr_req *req, const struct mr_fanout *f, struct mr_str entity, struct mr_buf *out, struct mr_error *err);
void mr_api_reply(struct mr_req *req, int status, struct mr_str json);
void mr_api_not_allowed(struct mr_req *req, const char *methods);

/* Routes; rest: what follows the route's own path. */
void mr_api_fn(struct mr_req *req, struct mr_fanout *f, struct mr_str rest);
void mr_api_entities(struct mr_req *req, struct mr_fanout *f, struct mr_str rest);
void mr_api_guest(struct mr_req *req, struct mr_fanout *f, struct mr_str rest);
void mr_api_refresh(struct mr_req *req, struct mr_fanout *f, struct mr_str rest);
void mr_api_sign_out(struct mr_req *req, struct mr_fanout *f, struct mr_str rest);
/* Of guests (api_guest.c). */
bool mr_api_guests_allowed(const struct mr_fanout *f, struct mr_error *err);
bool mr_api_is_guest(const struct mr_token *t);
void mr_api_guest_renew(struct mr_req *req, const struct mr_fanout *f, const struct mr_token *t);
void mr_api_metrics(struct mr_req *req, struct mr_fanout *f, struct mr_str rest);
void mr_api_static(struct mr_req *req, const struct mr_fanout *f);

#endif
