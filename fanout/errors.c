#include "errors.h"

bool mr_error_from_result(struct mr_str json, struct mr_error *err)
{
	struct mr_arena a = {0};
	struct mr_error unread;
	static const char mark[] = "{\"$error\":";
	if (json.n < sizeof mark || memcmp(json.p, mark, sizeof mark - 1) != 0)
		return false;
	const struct mr_node *node = mr_json_read(&a, json, 64, false, &unread);
	const struct mr_node *error = mr_node_get(node, "$error");
	if (error)
		mr_error_from_node(error, err);
	mr_arena_fini(&a);
	return error != NULL;
}
