/* The executable `millrace`: what its commands share. */
#ifndef MR_CLI_CLI_H
#define MR_CLI_CLI_H

#include "proto/ground/mem.h"
#include "proto/settings.h"

/* Exit statuses; told in `millrace help` (the last one is told as failed). */
enum { MR_EXIT_OK = 0, MR_EXIT_FAILED = 1, MR_EXIT_USAGE = 2, MR_EXIT_PENDING = 3, MR_EXIT_NO_DATABASE = 4 };

struct mr_cli {
	const char *command;
	struct mr_settings settings;
	int argc; /* what is left after the settings; argv[0] is the command */
	char **argv;
	int all_argc; /* as given, settings included */
	char **all_argv;
};

typedef int mr_command(struct mr_cli *cli);
mr_command mr_cmd_dev, mr_cmd_serve, mr_cmd_build, mr_cmd_check, mr_cmd_policy, mr_cmd_pull, mr_cmd_migrate, mr_cmd_sessions, mr_cmd_token,
	mr_cmd_settings, mr_cmd_psql, mr_cmd_jobs;

/* Prints `millrace: sentence` on standard error; returns the status given. */
int mr_cli_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A word that the command does not know is left: says so and returns false. */
bool mr_cli_no_more(const struct mr_cli *cli);

/* The value of an option, `--name value` or `--name=value`, at *i, which then is its last word; "" when there is none; NULL: it is another.
 */
const char *mr_cli_option(const struct mr_cli *cli, int *i, const char *name);
/* Runs with the database that runs; else starts the private one for as long as it takes (commands.c). Gives the exit status. */
int mr_cli_with_database(const struct mr_cli *cli, int (*run)(const struct mr_cli *cli, const char *conninfo, void *arg), void *arg);

/* Finds the tools and builds the app; says what is wrong (commands.c). */
struct mr_app_build;
bool mr_cli_build(const struct mr_cli *cli, struct mr_app_build *made);

/* Help texts. NULL: no such command. */
const char *mr_help_text(const char *command);

#endif
