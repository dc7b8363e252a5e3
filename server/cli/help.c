#include <string.h>

#include "cli.h"

static const char general[] = "Millrace: a realtime backend on PostgreSQL.\n"
			      "\n"
			      "  millrace dev         run the app here; code reloads on save, migrations are applied\n"
			      "  millrace serve       run the app for others; migrations are applied by hand\n"
			      "  millrace build       bundle the app, without running it\n"
			      "  millrace check       find mistakes in types, policies and rules, without running the app\n"
			      "  millrace policy test run a table of who may do what against the app's policies\n"
			      "  millrace migrate     show the SQL that the database still needs; --apply runs it\n"
			      "  millrace pull        print the declarations of a database that is there already\n"
			      "  millrace token       make a signed token for a user\n"
			      "  millrace jobs        list scheduled functions; cancel one, or retry one that failed\n"
			      "  millrace sessions    list who is signed in, or revoke a session\n"
			      "  millrace psql        open psql on the database of the app\n"
			      "  millrace settings    show every setting, its value and where it comes from\n"
			      "  millrace version     show the version\n"
			      "  millrace help WORD   more about a command\n"
			      "\n"
			      "Settings are given as --name value, as MILLRACE_NAME in the environment, or in millrace.conf\n"
			      "in the app's folder; `millrace settings` lists them. The ones needed most:\n"
			      "  --app-dir DIR        the app: app.ts, functions/, web/ (default: this folder)\n"
			      "  --data-dir DIR       private Postgres, secret, builds (default: .millrace)\n"
			      "  --port N             HTTP and WebSocket (default: 8080)\n"
			      "  --database-url URL   a Postgres of your own, instead of the private one\n"
			      "\n"
			      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 migrations are waiting.\n";

static const struct {
	const char *command, *text;
} texts[] = {
	{"dev", "millrace dev [--settings...]\n"
		"\n"
		"Starts Postgres (unless database_url is set), the workers and the fanout, serves the app and\n"
		"prints its address. Watches the sources: a change of functions or app.ts takes over at once\n"
		"while running calls finish on the old code; an error is shown here and in the browser, and the\n"
		"old code keeps serving. Additive migrations are applied; guests may sign in.\n"
		"Ctrl-C stops everything; a second Ctrl-C does not wait.\n"},
	{"serve", "millrace serve [--settings...]\n"
		  "\n"
		  "The same for production: builds once, watches nothing, and refuses to start (status 3) while\n"
		  "migrations are waiting; it prints them. Run `millrace migrate --apply` after review.\n"},
	{"build", "millrace build [--settings...]\n"
		  "\n"
		  "Checks and bundles app.ts, functions/ and web/ into data_dir/app/VERSION and writes the types\n"
		  "in _generated/. Prints the folder of the build. Needs neither Postgres nor Node.\n"},
	{"check", "millrace check [--settings...]\n"
		  "\n"
		  "Builds the app and looks at what it declares: types, and policies, indexes and checks that do\n"
		  "not compile or compare a field with what it never is, so that they would deny (or admit)\n"
		  "everything in silence. Status 1 when there are mistakes. Needs no Postgres.\n"},
	{"policy", "millrace policy test [FILE] [--settings...]\n"
		   "\n"
		   "Asks the app's policies who may do what, by the table in FILE (default: policies.test.json in\n"
		   "the app's folder), without a database; docs/policies.md has the form. Status 1 when a case\n"
		   "does not hold.\n"},
	{"migrate", "millrace migrate [--apply] [--settings...]\n"
		    "\n"
		    "Prints the SQL that takes the database from what it is to what the app declares; status 3 when\n"
		    "there is any. With --apply it is run: in one transaction, and then what takes long on tables with\n"
		    "rows, by steps that let others write. A statement waits for its lock no longer than\n"
		    "migrate_lock_timeout; the rest is tried again, and who is in the way is named. What would destroy\n"
		    "or rewrite data is refused with a sentence; do that by hand.\n"},
	{"pull", "millrace pull [--schema public] [--table NAME]... [--out FILE [--force]] [--settings...]\n"
		 "\n"
		 "Prints the declarations that adopt the tables of a database that is there already, as they\n"
		 "stand (docs/adopt.md); changes nothing. With --out they are written to FILE, over an existing\n"
		 "one only with --force.\n"},
	{"token", "millrace token --user ID [--claim NAME=VALUE]... [--expires 30d] [--settings...]\n"
		  "\n"
		  "Prints a token that says: the bearer is user ID. Signed with auth_secret or data_dir/secret.\n"
		  "  --claim NAME=VALUE   adds a claim; VALUE is JSON (true, 7, [\"a\"]), else text\n"
		  "  --expires TIME       90s, 15m, 12h or 30d (default 30d)\n"
		  "\n"
		  "  curl -gN -H \"Authorization: Bearer $(millrace token --user ann)\" 'http://localhost:8080/api/...'\n"},
	{"jobs", "millrace jobs [--state STATE] [--limit N] [--settings...]\n"
		 "millrace jobs cancel ID | retry ID [--settings...]\n"
		 "millrace jobs crons [--settings...]\n"
		 "\n"
		 "Prints scheduled functions, the latest first: id, state, when it is due or ended (UTC), how often\n"
		 "it was begun, name, and why it failed. STATE: pending, inProgress, success, failed, canceled; N:\n"
		 "at most so many (default 100). cancel: it does not run any more. retry: one that failed or was\n"
		 "canceled runs again, now. crons: lists what runs by the clock. Uses the database\n"
		 "that `millrace dev` or `serve` runs, or database_url.\n"},
	{"sessions", "millrace sessions list [--user ID] [--settings...]\n"
		     "millrace sessions revoke SESSION | --user ID [--settings...]\n"
		     "\n"
		     "Lists the sessions that functions have created and whose time is not over: id, user, when made and\n"
		     "until when (UTC), whether revoked. Revoking one ends it on every machine at once; --user revokes all\n"
		     "tokens that the user has now, of whatever issuer.\n"},
	{"psql", "millrace psql [ARGUMENTS OF PSQL...]\n"
		 "\n"
		 "Opens psql on the app's database: the private one while `millrace dev` or `serve` runs, or\n"
		 "database_url. Settings come first, then --, then psql's own arguments.\n"
		 "  millrace psql -- -c 'select * from \"Message\"'\n"},
	{"settings", "millrace settings [--settings...]\n"
		     "\n"
		     "Prints each setting as `name = value`, a comment that says where the value comes from, and what\n"
		     "it is for. The output is a valid millrace.conf. Secrets are not shown.\n"},
	{"version", "millrace version\n\nPrints the version.\n"},
	{"help", "millrace help [COMMAND]\n\nPrints help.\n"},
};

const char *mr_help_text(const char *command)
{
	if (!command)
		return general;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (strcmp(texts[i].command, command) == 0)
			return texts[i].text;
	return NULL;
}
