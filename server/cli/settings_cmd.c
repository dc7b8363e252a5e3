/* `millrace settings`: every setting with its value and its source. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "files.h"

/* Value of --name in the words given, or NULL. Names are written with dashes or underscores. */
static const char *on_command_line(const struct mr_cli *cli, const char *name)
{
	const char *found = NULL;
	for (int i = 1; i < cli->all_argc && strcmp(cli->all_argv[i], "--") != 0; i++) {
		const char *word = cli->all_argv[i];
		if (word[0] != '-' || word[1] != '-')
			continue;
		word += 2;
		size_t n = 0;
		while (name[n] && (word[n] == name[n] || (word[n] == '-' && name[n] == '_')))
			n++;
		if (!name[n] && word[n] == '=')
			found = word + n + 1;
		else if (!name[n] && !word[n])
			found = i + 1 < cli->all_argc ? cli->all_argv[i + 1] : "";
	}
	return found;
}

static char *environment_name(const char *name)
{
	char *env = mr_printf("MILLRACE_%s", name);
	for (char *c = env; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return env;
}

/* Does the file have a line `name = ...`? */
static bool in_file(const struct mr_buf *file, const char *name)
{
	size_t n = strlen(name);
	for (const char *line = file->p; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		while (*line == ' ' || *line == '\t')
			line++;
		size_t same = 0;
		while (same < n && (line[same] == name[same] || (line[same] == '-' && name[same] == '_')))
			same++;
		const char *after = line + same;
		while (*after == ' ' || *after == '\t')
			after++;
		if (same == n && *after == '=')
			return true;
	}
	return false;
}

/* Path of the settings file in use, or NULL; allocated. */
static char *settings_file(const struct mr_cli *cli)
{
	const char *told = on_command_line(cli, "config");
	if (!told)
		told = getenv("MILLRACE_CONFIG");
	if (told && *told)
		return mr_strdup(told);
	char *path = mr_printf("%s/millrace.conf", cli->settings.app_dir);
	if (mr_path_exists(path))
		return path;
	free(path);
	return NULL;
}

/* In the order in which sources win (proto/settings.h). */
static void print_source(const struct mr_cli *cli, const struct mr_setting *row, const struct mr_buf *file, const char *file_name)
{
	char *env = environment_name(row->name);
	const char *own = getenv(env);
	if (on_command_line(cli, row->name))
		printf("# from the command line\n");
	else if (own && (*own || row->type == MR_ST_STRING))
		printf("# from %s\n", env);
	else if (strcmp(row->name, "database_url") == 0 && getenv("DATABASE_URL"))
		printf("# from DATABASE_URL\n");
	else if (in_file(file, row->name))
		printf("# from %s\n", file_name);
	else
		printf("# the default\n");
	free(env);
}

/* A URL or keywords without the password. */
static void print_database(const char *value)
{
	const char *scheme = strstr(value, "://"), *at = scheme ? strchr(scheme, '@') : NULL;
	const char *colon = scheme ? strchr(scheme + 3, ':') : NULL;
	const char *keyword = strstr(value, "password=");
	if (colon && at && colon < at)
		printf("%.*s:***%s", (int)(colon - value), value, at);
	else if (keyword)
		printf("%.*spassword=***%s", (int)(keyword - value), value, keyword + 9 + strcspn(keyword + 9, " &"));
	else
		printf("%s", value);
}

static void print_value(const struct mr_settings *s, const struct mr_setting *row)
{
	const char *member = (const char *)s + row->offset;
	const char *text;
	int64_t number;
	bool truth;
	switch (row->type) {
	case MR_ST_INT:
	case MR_ST_MS:
	case MR_ST_BYTES:
		memcpy(&number, member, sizeof number);
		printf("%lld", (long long)number);
		break;
	case MR_ST_BOOL:
		memcpy(&truth, member, sizeof truth);
		printf("%s", truth ? "true" : "false");
		break;
	case MR_ST_STRING:
	case MR_ST_ENUM:
		memcpy(&text, member, sizeof text);
		if (strcmp(row->name, "database_url") == 0)
			print_database(text);
		else
			printf("%s", text);
		break;
	}
}

int mr_cmd_settings(struct mr_cli *cli)
{
	struct mr_buf file = {0};
	struct mr_error err;
	if (!mr_cli_no_more(cli))
		return MR_EXIT_USAGE;
	char *name = settings_file(cli);
	if (name && !mr_file_read(name, &file, &err)) {
		free(name);
		return mr_cli_fail(MR_EXIT_FAILED, "%s", err.message);
	}
	for (int i = 0; i < MR_SETTINGS; i++) {
		const struct mr_setting *row = &mr_setting[i];
		printf("%s# %s\n", i ? "\n" : "", row->prose);
		print_source(cli, row, &file, name ? name : "");
		if (strcmp(row->name, "auth_secret") == 0 && *cli->settings.auth_secret) {
			printf("# auth_secret = ***\n");
			continue;
		}
		printf("%s = ", row->name);
		print_value(&cli->settings, row);
		putchar('\n');
	}
	mr_buf_fini(&file);
	free(name);
	return fflush(stdout) == 0 ? MR_EXIT_OK : MR_EXIT_FAILED;
}
