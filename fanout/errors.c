#include "errors.h"

#include <stdio.h>

void mr_error_from_node(const struct mr_node *node, struct mr_error *err)
{
	struct mr_str code = mr_node_str(node, "code"), message = mr_node_str(node, "message");
	const struct mr_node *data = mr_node_get(node, "data");
	enum mr_code known = code.p ? mr_code_by_name(code.p, code.n) : MR_OK;
	mr_fail(err, known ? known : MR_INTERNAL, "%.*s", (int)message.n, message.p ? message.p : "");
	if (data && data->kind == MR_MAP && data->raw.n && data->raw.n < sizeof err->data)
		snprintf(err->data, sizeof err->data, "%.*s", (int)data->raw.n, data->raw.p);
}

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
