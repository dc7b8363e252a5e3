/* The app's code on its way: sources -> build -> migration -> a crew of workers -> serving. An error anywhere is told (terminal, and
 * browsers in development) and what serves goes on serving.
 */
#ifndef MR_CLI_CODE_H
#define MR_CLI_CODE_H

#include "build.h"
#include "crew.h"
#include "edge.h"
#include "proto/settings.h"

struct mr_code_config {
	struct mr_loop *loop;
	const struct mr_settings *settings;
	const struct mr_place *place;
	struct mr_crews *crews;
	bool development; /* apply migrations, check types, go on after errors, and try again what failed, now and then */
	int workers;
	void (*first)(void *arg);                                  /* the app serves for the first time */
	void (*failed)(int status, struct mr_str text, void *arg); /* it cannot serve and nothing serves; told once per failure */
	void *arg;
};

struct mr_app_code;
struct mr_app_code *mr_code_new(const struct mr_code_config *config);
void mr_code_delete(struct mr_app_code **c);
void mr_code_database(struct mr_app_code *c, const char *conninfo); /* copied */
void mr_code_edge(struct mr_app_code *c, struct mr_edge *edge);
/* Sources changed (MR_CHANGED_...): builds what is needed, after the build that is under way. */
void mr_code_change(struct mr_app_code *c, int changed);
/* From the edge. */
void mr_code_edge_up(struct mr_app_code *c);
void mr_code_serves(struct mr_app_code *c, struct mr_str version);
void mr_code_refused(struct mr_app_code *c, struct mr_str version, struct mr_str sentence);

#endif
