/* What a function costs in the engine alone: a bundle, and a host that answers each operation at once with what a database would say.
 * engine BUNDLE CALLS FUNCTION ARGS [ANSWER]...: operation i of a call is answered by the i-th answer, by null when there is none. Prints
 * how long the engine takes to start and to load the bundle, then microseconds of CPU for each call and entries into the engine for each
 * call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/js/js.h"

enum { OPS = 64, FIRST = 1000, WARM = 10000 };

struct host {
	struct mr_js *js;
	uint64_t ops[OPS], next;
	size_t asked;
	bool done, ok;
	struct mr_buf said;
};

static uint64_t on_op(void *arg, uint64_t n, struct mr_str kind, struct mr_str json)
{
	struct host *h = arg;
	if (h->asked == OPS)
		abort();
	return h->ops[h->asked++] = ++h->next;
}

static void on_done(void *arg, uint64_t n, bool ok, struct mr_str json)
{
	struct host *h = arg;
	h->done = true;
	h->ok = ok;
	mr_buf_reset(&h->said);
	mr_buf_str(&h->said, json);
}

static void on_log(void *arg, uint64_t n, struct mr_str level, struct mr_str text)
{
	fprintf(stderr, "%.*s\n", (int)text.n, text.p);
}

static void on_identity(void *arg, uint64_t n) {}

static double cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void run(struct host *h, uint64_t n, struct mr_str fn, struct mr_str args, char **answers, int known)
{
	static const struct mr_js_env env = {
		.json = {"{\"kind\":\"mutation\",\"auth\":null,\"shared\":false,\"now\":1795337728535,\"seed\":\"190fa758\",\"depth\":8,"
			 "\"most\":1048576}",
			84},
		.now_ms = 1795337728535,
		.seed = {"190fa758", 8},
	};
	struct mr_error err;
	struct mr_js_env e = env;
	e.json = mr_str(env.json.p);
	h->asked = 0;
	h->done = false;
	enum mr_js_end end = mr_js_call(h->js, n, fn, args, &e, &err);
	for (size_t i = 0; end == MR_JS_RAN && i < h->asked; i++)
		end = mr_js_settle(h->js, n, h->ops[i], true, (int)i < known ? mr_str(answers[i]) : MR_STR("null"), &err);
	if (end != MR_JS_RAN || !h->done || !h->ok) {
		fprintf(stderr, "call %llu: %s\n", (unsigned long long)n, end == MR_JS_RAN ? h->said.p : err.message);
		exit(1);
	}
	mr_js_forget(h->js, n);
}

static struct mr_buf read_file(const char *path)
{
	struct mr_buf b = {0};
	char piece[65536];
	FILE *f = fopen(path, "r");
	size_t n;
	if (!f) {
		perror(path);
		exit(1);
	}
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		mr_buf_add(&b, piece, n);
	fclose(f);
	return b;
}

static void run_many(struct host *h, uint64_t *n, long calls, char **words, int count)
{
	for (long i = 0; i < calls; i++)
		run(h, ++*n, mr_str(words[0]), mr_str(words[1]), words + 2, count - 2);
}

/* The first ones, and what they cost once the engine has compiled what is used much. */
static void measure_calls(struct host *h, long calls, char **words, int count)
{
	uint64_t n = 0;
	double began = cpu_us();
	run_many(h, &n, FIRST, words, count);
	printf(",\"first_us\":%.2f", (cpu_us() - began) / FIRST);
	run_many(h, &n, WARM, words, count);
	uint64_t entries = mr_js_entries(h->js);
	began = cpu_us();
	run_many(h, &n, calls, words, count);
	printf(",\"call_us\":%.2f,\"entries\":%.1f,\"heap_kb\":%zu", (cpu_us() - began) / (double)calls,
		(double)(mr_js_entries(h->js) - entries) / (double)calls, mr_js_heap(h->js) / 1024);
}

int main(int argc, char **argv)
{
	if (argc != 2 && argc < 5) {
		fprintf(stderr, "usage: engine BUNDLE [CALLS FUNCTION ARGS [ANSWER]...]\n");
		return 2;
	}
	struct mr_buf bundle = read_file(argv[1]);
	struct host h = {0};
	const struct mr_js_host host = {on_op, on_done, on_log, on_identity, &h};
	const struct mr_js_limits limits = {.slice_ms = 1000, .text_bytes = 1 << 24, .memory_bytes = 256 << 20};
	struct mr_error err;
	double began = cpu_us();
	h.js = mr_js_new(&host, &limits);
	double started = cpu_us();
	if (!mr_js_load(h.js, mr_buf_view(&bundle), "bundle.js", &err)) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	printf("{\"start_ms\":%.1f,\"load_ms\":%.1f", (started - began) / 1e3, (cpu_us() - started) / 1e3);
	if (argc > 2)
		measure_calls(&h, strtol(argv[2], NULL, 10), argv + 3, argc - 3);
	printf("}\n");
	mr_js_delete(&h.js);
	mr_buf_fini(&bundle);
	mr_buf_fini(&h.said);
	return 0;
}
