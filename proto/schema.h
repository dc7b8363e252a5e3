/* The app as the C side sees it: read from the manifest that the app's bundle prints (docs/manifest.md). Immutable once read.
 */
#ifndef MR_SCHEMA_H
#define MR_SCHEMA_H

#include <stdatomic.h>

#include "ground/node.h"

/* The closed list of column types that predicates decide (CLOCK.md rule 22), and the opaque rest. */
enum mr_type {
	MR_T_BOOL,
	MR_T_INT,      /* int8; a JavaScript number where it is exact (|v| < 2^53), else a bigint */
	MR_T_BIGINT,   /* int8; always a bigint */
	MR_T_FLOAT,    /* float8; NaN equals NaN and is the largest; -0 equals 0 */
	MR_T_NUMERIC,  /* numeric; travels as a string */
	MR_T_STRING,   /* text collate "C" */
	MR_T_UUID,     /* uuid; lower-case text */
	MR_T_DATETIME, /* timestamptz; travels as 2026-11-21T03:40:18.123Z (6 digits where microseconds are not whole ms) */
	MR_T_BYTES,    /* bytea */
	MR_T_JSON,     /* jsonb: opaque; not in predicates */
	MR_TYPES
};
const char *mr_type_name(enum mr_type t); /* "bool", "int", ... as in the manifest */
const char *mr_type_sql(enum mr_type t);  /* "boolean", "bigint", "text", ... without collation */

/* Columns of adopted tables whose type is not among these, and which are read as if it were. */
enum mr_column_as {
	MR_AS_ITSELF,
	MR_AS_TEXT, /* a string: an enum's label, a date, a time of day */
	MR_AS_UTC,  /* a datetime: a timestamp without time zone */
};

struct mr_field {
	struct mr_str name;   /* NUL-terminated, as all names here */
	struct mr_str column; /* in the table; NUL-terminated; empty: the field is made of those of the key */
	enum mr_type type;
	enum mr_column_as as;
	bool optional; /* null allowed */
	bool unique;
	bool server_only;          /* never leaves the server; not usable in clients' filters */
	bool readonly;             /* not to be changed by entity writes */
	bool owner;                /* entity inserts stamp auth.userId */
	bool key;                  /* of an adopted table's key, beside fields[0]: never changed by writes */
	bool generated;            /* the table fills it in: inserts may leave it out */
	bool default_now;          /* datetime: now() */
	bool checked;              /* it has rules that neither the type nor the database knows: the app's code does (mr_js_check) */
	const struct mr_node *def; /* default value or NULL */
	struct mr_str references;  /* entity, or empty */
	struct mr_str on_delete;   /* "restrict" (default), "cascade", "set null" */
};

struct mr_pred;

struct mr_index {
	struct mr_str name;
	const int *fields; /* positions in entity->fields */
	size_t n;
	bool unique;
	const struct mr_pred *where; /* it holds these rows only; NULL: all */
};

/* What every row must satisfy: a CHECK of the table. Declared for the entity, or what the rules of a field say. */
struct mr_check {
	struct mr_str name;             /* the field's, if it is of one */
	int field;                      /* -1: of the entity */
	const struct mr_pred *pred;     /* NULL: nothing but lengths */
	int64_t min_length, max_length; /* of the field: characters, or bytes; -1: none */
};

enum mr_act { MR_ACT_READ, MR_ACT_INSERT, MR_ACT_UPDATE, MR_ACT_DELETE, MR_ACTS };
extern const char *const mr_act_names[MR_ACTS]; /* "read", ... */

struct mr_entity {
	struct mr_str name;   /* "Message" */
	struct mr_str schema; /* "public" */
	struct mr_str table;  /* "Message" */
	/* fields[0] is always `id`, the row's key as one value: a uuid of our own; of an adopted table the column that is its primary key;
	 * or, where that has several columns, text that is made of them (mr_row_from_image). */
	const struct mr_field *fields;
	size_t n;
	const int *key; /* the fields that are the primary key: {0}, or the several that fields[0] is made of */
	size_t n_key;
	bool adopted; /* an existing table, of which nothing is changed */
	const struct mr_index *indexes;
	size_t n_indexes;
	const struct mr_check *checks;
	size_t n_checks;
	/* One expression for each act, the conjunction of the policies given; empty: nobody may. */
	struct mr_str policy[MR_ACTS];
	const struct mr_app *app; /* that declares it */
	uint64_t shape;           /* fixed hash of name, field names and types: part of instance keys */
	int number;               /* position in app->entities */
};

enum mr_fn_kind { MR_FN_QUERY, MR_FN_MUTATION, MR_FN_ACTION };
struct mr_fn {
	struct mr_str name; /* "messages.send" */
	enum mr_fn_kind kind;
	bool needs_user; /* auth: "user" (default); false for "public" */
	bool internal;
	bool cancel;             /* an action that ends when its caller goes */
	bool http;               /* an action that answers requests of a route; no function that could be called */
	struct mr_str isolation; /* "serializable" (default for mutations), "repeatable read", "read committed" */
};

struct mr_route; /* routes.h */

struct mr_app {
	struct mr_arena arena;
	struct mr_str version; /* hash of the bundle */
	struct mr_entity *entities;
	size_t n_entities;
	struct mr_fn *fns;
	size_t n_fns;
	struct mr_route *routes; /* in the order in which they are tried */
	size_t n_routes;
	struct mr_str crons;    /* as the manifest has them, JSON text; for storage/sql/crons.sql alone. Empty: it says nothing of crons */
	struct mr_map *by_name; /* private */
	atomic_uint refs;       /* threads share it */
};

/* Reads a manifest (JSON). NULL and *err (bad_value with the place) when it is wrong. The source text is copied. */
struct mr_app *mr_app_read(struct mr_str json, struct mr_error *err);
struct mr_app *mr_app_hold(struct mr_app *app);
void mr_app_drop(struct mr_app **app);
const struct mr_entity *mr_app_entity(const struct mr_app *app, struct mr_str name);
const struct mr_fn *mr_app_fn(const struct mr_app *app, struct mr_str name);
const struct mr_route *mr_app_route(const struct mr_app *app, struct mr_str name);
int mr_entity_field(const struct mr_entity *e, struct mr_str name);    /* position, or -1 */
int mr_entity_column(const struct mr_entity *e, struct mr_str column); /* the same by the name in the table */
static inline bool mr_field_computed(const struct mr_field *f)
{
	return !f->column.n;
}

#endif
