/* What the catalogs of Postgres say of the app's tables. For ticker*.c only. */
#ifndef MR_TICKER_CATALOG_H
#define MR_TICKER_CATALOG_H

#include "pg.h"
#include "proto/ground/mem.h"

/* Within one transaction: CHECK (nothing has changed: DONE), else READ, then MARK, by which the next one can check. */
enum mr_catalog_step { MR_CATALOG_DONE, MR_CATALOG_CHECK, MR_CATALOG_READ, MR_CATALOG_MARK };

struct mr_catalog_watch {
	struct mr_buf tables;          /* JSON map entity -> [schema, table] */
	struct mr_buf text;            /* fingerprints: JSON map entity -> text */
	struct mr_buf parts;           /* of the tables: an array of oids, as Postgres prints it */
	struct mr_buf snapshot, marks; /* of the last answer that was the same */
	bool known;                    /* text, parts, snapshot and marks belong together */
	bool others;                   /* other tables were given while this transaction goes on */
	enum mr_catalog_step step;     /* what is asked next, or under way */
};

/* Other tables from now on. */
void mr_catalog_watch(struct mr_catalog_watch *w, struct mr_str tables);
void mr_catalog_watch_fini(struct mr_catalog_watch *w);
/* A transaction begins. continues: its snapshot comes after those before it, in the same history of the same database. */
void mr_catalog_begin(struct mr_catalog_watch *w, bool continues);
/* One result, for mr_catalog_answer. */
void mr_catalog_ask(const struct mr_catalog_watch *w, struct mr_pg *pg, mr_pg_result_cb *cb, void *arg);
/* true: w->text holds at this transaction's snapshot; false: ask again, in the same one. */
bool mr_catalog_answer(struct mr_catalog_watch *w, const struct mr_pg_result *r);

#endif
