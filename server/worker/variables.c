#include "worker.h"

#define PREFIX "MILLRACE_VAR_"

extern char **environ;

static bool is_name(struct mr_str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (c != '_' && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
			return false;
	}
	return name.n > 0;
}

void mr_variables_print(struct mr_buf *b)
{
	size_t prefix = sizeof PREFIX - 1, n = 0;
	mr_buf_char(b, '{');
	for (char **e = environ; *e; e++) {
		const char *equals = strchr(*e, '=');
		if (strncmp(*e, PREFIX, prefix) != 0 || !equals)
			continue;
		struct mr_str name = {*e + prefix, (size_t)(equals - *e) - prefix}, value = mr_str(equals + 1);
		if (!is_name(name) || !mr_utf8_ok(value)) {
			mr_log(MR_WARN,
				"the environment's %.*s is left out: its name has other characters than letters, digits and _, or its "
				"value is no "
				"UTF-8",
				(int)(equals - *e), *e);
			continue;
		}
		if (n++)
			mr_buf_char(b, ',');
		mr_json_quote(b, name);
		mr_buf_char(b, ':');
		mr_json_quote(b, value);
	}
	mr_buf_char(b, '}');
}
