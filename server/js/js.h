/* The JavaScript engine behind a header that names none. One engine is one heap with the app's bundle in it; many calls are under way in it
 * at once, and each entry into its code (a slice) belongs to exactly one of them. docs/manifest.md has what host and bundle give each
 * other.
 *
 * Not here: what an operation does (worker/), how a slice that the engine cannot stop is ended (guard.h).
 * Code in the engine has no network, no files, no eval; time and randomness are those of the call whose slice runs.
 * One thread. Texts given to host callbacks are valid during the callback; the host must not enter the engine from inside of one.
 */
#ifndef MR_JS_H
#define MR_JS_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

struct mr_js;

/* Texts longer than limits.text_bytes are given with p NULL and n their length. */
struct mr_js_host {
	/* Start an operation of call n; returns its number (never 0, below 2^53), which is given back to mr_js_settle. */
	uint64_t (*op)(void *arg, uint64_t n, struct mr_str kind, struct mr_str json);
	void (*done)(void *arg, uint64_t n, bool ok, struct mr_str json);
	/* level: debug, log, info, warn, error. n is 0 while a bundle is loaded. */
	void (*log)(void *arg, uint64_t n, struct mr_str level, struct mr_str text);
	void (*identity)(void *arg, uint64_t n);
	void *arg;
};

struct mr_js_limits {
	int64_t slice_ms;     /* CPU time of one entry that the engine itself stops: plain loops */
	size_t text_bytes;    /* longest text that an operation or a result may be */
	int64_t memory_bytes; /* the engine collects garbage with this in mind; guard.h enforces it */
};

/* `host` is copied. A process makes its first engine before it starts threads; time zone is UTC from then on. */
struct mr_js *mr_js_new(const struct mr_js_host *host, const struct mr_js_limits *limits);
void mr_js_delete(struct mr_js **js);
/* What the code finds as process.env: a JSON map of texts. Before the bundle is loaded; else it is empty. */
void mr_js_variables(struct mr_js *js, struct mr_str json);
/* Runs a bundle; `name` stands in stack traces. false: it threw, ran too long, or is no app (function_failed with place and stack in
 * message). */
bool mr_js_load(struct mr_js *js, struct mr_str source, const char *name, struct mr_error *err);

enum mr_js_end {
	MR_JS_RAN,   /* back to the host, whatever the code did */
	MR_JS_THREW, /* the bundle's runtime itself threw: err has the text; the call will not come back */
	MR_JS_TIME,  /* the slice ran longer than slice_ms and was stopped: the call will not come back; the others go on */
};
/* What a call is given to run with. */
struct mr_js_env {
	struct mr_str json; /* passed on to the bundle */
	double now_ms;      /* its clock stands still here, */
	bool live;          /* unless it is an action: its clock is the machine's */
	struct mr_str seed; /* any text; the same text gives the same random numbers */
};
enum mr_js_end mr_js_call(
	struct mr_js *js, uint64_t n, struct mr_str fn, struct mr_str args, const struct mr_js_env *env, struct mr_error *err);
enum mr_js_end mr_js_settle(struct mr_js *js, uint64_t n, uint64_t op, bool ok, struct mr_str json, struct mr_error *err);
/* The host gives call n up: its clock, its random numbers and what the bundle keeps for it are dropped, as they are by themselves once it
 * has ended (host.done). Never runs the call's own code. */
void mr_js_forget(struct mr_js *js, uint64_t n);
/* Appends the manifest as the bundle prints it (without version). */
bool mr_js_manifest(struct mr_js *js, struct mr_buf *out, struct mr_error *err);

/* Whether these fields may be written to the entity, by the rules that only the app's code knows: appends what the bundle says
 * (docs/manifest.md). */
enum mr_js_end mr_js_check(struct mr_js *js, struct mr_str entity, struct mr_str json, struct mr_buf *out, struct mr_error *err);

/* Bytes in the heap, as after the last collection and what was made since. */
size_t mr_js_heap(struct mr_js *js);
void mr_js_collect(struct mr_js *js);
/* For tests: entries made so far. */
uint64_t mr_js_entries(const struct mr_js *js);

#endif
