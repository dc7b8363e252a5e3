/* The app's database as the CLI sees it: an own one by database_url, or the private cluster in data_dir/pg. */
#ifndef MR_CLI_DATABASE_H
#define MR_CLI_DATABASE_H

#include "build.h"
#include "proto/settings.h"
#include "storage/install.h"

struct mr_database {
	struct mr_cluster *cluster; /* NULL: not ours */
	struct mr_buf conninfo;
};

/* Opens it: starts the private cluster unless database_url is set. The conninfo is also left in data_dir/run/database for other commands.
 */
bool mr_database_open(struct mr_database *db, const struct mr_settings *s, struct mr_error *err);
void mr_database_close(struct mr_database *db, const struct mr_settings *s);
/* The conninfo of a database that runs already (started by `millrace dev`), or of database_url. false: none runs. */
bool mr_database_running(const struct mr_settings *s, struct mr_buf *conninfo);

/* Reads the manifest of a build and plans its migration; sql stays empty when nothing is to do. */
bool mr_database_plan(const char *conninfo, const char *build_dir, struct mr_buf *sql, struct mr_error *err);
/* Applies a plan and leaves the settings that triggers need. */
bool mr_database_apply(const char *conninfo, const struct mr_settings *s, struct mr_str sql, struct mr_error *err);

/* Takes data_dir for this process: makes its folders and locks it. The descriptor to keep, or -1 and "already running as process N". */
int mr_data_dir_lock(const struct mr_settings *s, struct mr_error *err);

#endif
