#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "proto/ground/log.h"

static const struct {
	const char *name;
	mr_command *run;
} commands[] = {
	{"build", mr_cmd_build},
	{"check", mr_cmd_check},
	{"policy", mr_cmd_policy},
	{"dev", mr_cmd_dev},
	{"jobs", mr_cmd_jobs},
	{"migrate", mr_cmd_migrate},
	{"psql", mr_cmd_psql},
	{"pull", mr_cmd_pull},
	{"serve", mr_cmd_serve},
	{"sessions", mr_cmd_sessions},
	{"settings", mr_cmd_settings},
	{"token", mr_cmd_token},
};

int mr_cli_fail(int status, const char *fmt, ...)
{
	va_list ap;
	fflush(stdout);
	fputs("millrace: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

bool mr_cli_no_more(const struct mr_cli *cli)
{
	if (cli->argc <= 1)
		return true;
	mr_cli_fail(
		MR_EXIT_USAGE, "%s is not an option of `millrace %s`; see `millrace help %s`.", cli->argv[1], cli->command, cli->command);
	return false;
}

const char *mr_cli_option(const struct mr_cli *cli, int *i, const char *name)
{
	const char *word = cli->argv[*i];
	size_t n = strlen(name);
	if (strncmp(word, name, n) != 0 || (word[n] && word[n] != '='))
		return NULL;
	if (word[n] == '=')
		return word + n + 1;
	return ++*i < cli->argc ? cli->argv[*i] : "";
}

static int help(const char *command)
{
	const char *text = mr_help_text(command);
	if (!text)
		return mr_cli_fail(MR_EXIT_USAGE, "There is no command %s; `millrace help` lists them.", command);
	fputs(text, stdout);
	return fflush(stdout) == 0 ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static enum mr_level level(const char *name)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	for (int i = 0; i < 4; i++)
		if (strcmp(names[i], name) == 0)
			return (enum mr_level)i;
	return MR_INFO;
}

static int run(const char *name, mr_command *command, int argc, char **argv)
{
	struct mr_error err;
	static struct mr_cli cli; /* the strings of its settings live for ever */
	cli = (struct mr_cli){.command = name, .argc = argc, .all_argc = argc};
	cli.argv = mr_alloc((size_t)(argc + 1) * sizeof *cli.argv);
	cli.all_argv = mr_alloc((size_t)(argc + 1) * sizeof *cli.all_argv);
	memcpy(cli.argv, argv, (size_t)argc * sizeof *argv);
	memcpy(cli.all_argv, argv, (size_t)argc * sizeof *argv);
	int status;
	if (!mr_settings_load(&cli.settings, &cli.argc, cli.argv, &err)) {
		status = mr_cli_fail(MR_EXIT_USAGE, "%s", err.message);
	} else {
		mr_log_init("millrace", level(cli.settings.log_level));
		status = command(&cli);
	}
	free(cli.argv);
	free(cli.all_argv);
	return status;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "help";
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return help(NULL);
	if (strcmp(name, "help") == 0)
		return help(argc > 2 ? argv[2] : NULL);
	if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0)
		return printf("millrace %s\n", MR_VERSION) > 0 ? MR_EXIT_OK : MR_EXIT_FAILED;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		return asks_help(argc - 1, argv + 1) ? help(name) : run(name, commands[i].run, argc - 1, argv + 1);
	}
	return mr_cli_fail(MR_EXIT_USAGE, "There is no command %s; `millrace help` lists them.", name);
}
