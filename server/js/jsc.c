/* The engine: JavaScriptCore through its C API. Data passes as JSON text, never property by property. */
#include <JavaScriptCore/JavaScript.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "digest.h"
#include "js.h"
#include "prelude.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"

/* Exported by the library, absent from its headers. */
typedef bool (*JSShouldTerminateCallback)(JSContextRef ctx, void *context);
void JSContextGroupSetExecutionTimeLimit(JSContextGroupRef group, double seconds, JSShouldTerminateCallback cb, void *context);
void JSGlobalContextSetEvalEnabled(JSGlobalContextRef ctx, bool enabled, JSStringRef message);
void JSGlobalContextSetUnhandledRejectionCallback(JSGlobalContextRef ctx, JSObjectRef function, JSValueRef *exception);
JSObjectRef JSGetMemoryUsageStatistics(JSContextRef ctx);
void JSSynchronousGarbageCollectForDebugging(JSContextRef ctx);

enum door { DOOR_LOADED, DOOR_MANIFEST, DOOR_CALL, DOOR_SETTLE, DOOR_FORGET, DOOR_REJECTED, DOOR_VARIABLES, DOOR_CHECK, DOORS };
static const char *const door_names[DOORS] = {"loaded", "manifest", "call", "settle", "forget", "rejected", "variables", "check"};

struct mr_js {
	struct mr_js_host host;
	struct mr_js_limits limits;
	JSContextGroupRef group;
	JSGlobalContextRef ctx;
	JSClassRef native_class;
	JSObjectRef doors[DOORS]; /* functions that the prelude gave us; protected */
	bool stopped;             /* the engine ended the slice that just ran */
	bool inside;
	uint64_t entries;
	struct mr_buf in, out; /* scratch for texts on their way in and out */
};

/* Scratch that a large text has blown up is given back. */
enum { SCRATCH_KEEP = 1 << 20 };

static void scratch_done(struct mr_buf *b)
{
	if (b->cap > SCRATCH_KEEP)
		mr_buf_fini(b);
	else
		mr_buf_reset(b);
}

static JSStringRef string_new(struct mr_js *js, struct mr_str s)
{
	mr_buf_reset(&js->in);
	mr_buf_add(&js->in, s.p, s.n);
	mr_buf_char(&js->in, 0);
	JSStringRef text = JSStringCreateWithUTF8CString(js->in.p);
	scratch_done(&js->in);
	return text;
}

static JSValueRef string_value(struct mr_js *js, struct mr_str s)
{
	JSStringRef text = string_new(js, s);
	JSValueRef v = JSValueMakeString(js->ctx, text);
	JSStringRelease(text);
	return v;
}

static bool text_get(JSStringRef text, struct mr_buf *b)
{
	size_t room = JSStringGetMaximumUTF8CStringSize(text);
	size_t n = JSStringGetUTF8CString(text, mr_buf_room(b, room), room);
	if (n == 0)
		return false;
	b->n += n - 1; /* the count includes the NUL */
	b->p[b->n] = 0;
	return true;
}

/* Appends the value as text; false: it has none (its toString threw, or it is no valid text). */
static bool string_get(struct mr_js *js, JSValueRef v, struct mr_buf *b)
{
	JSValueRef exception = NULL;
	JSStringRef text = JSValueToStringCopy(js->ctx, v, &exception);
	bool ok = text && text_get(text, b);
	if (text)
		JSStringRelease(text);
	return ok;
}

/* The same for an argument that the bundle gave to the host: bounded by text_bytes. The slice lives in js->out until scratch_done. */
static bool argument_get(struct mr_js *js, JSValueRef v, struct mr_str *s)
{
	if (!JSValueIsString(js->ctx, v))
		return false;
	mr_buf_reset(&js->out);
	JSStringRef text = JSValueToStringCopy(js->ctx, v, NULL);
	size_t length = JSStringGetLength(text);
	bool fits = length <= js->limits.text_bytes, ok = !fits || text_get(text, &js->out);
	JSStringRelease(text);
	if (fits)
		length = js->out.n;
	*s = length > js->limits.text_bytes ? (struct mr_str){NULL, length} : mr_buf_view(&js->out);
	return ok;
}

static JSValueRef property(struct mr_js *js, JSObjectRef o, const char *name)
{
	JSStringRef key = JSStringCreateWithUTF8CString(name);
	JSValueRef v = JSObjectGetProperty(js->ctx, o, key, NULL);
	JSStringRelease(key);
	return v && !JSValueIsUndefined(js->ctx, v) && !JSValueIsNull(js->ctx, v) ? v : NULL;
}

/* ---- what the bundle calls: __host, by way of the prelude ---- */

static JSValueRef refuse(JSContextRef ctx, const char *sentence, JSValueRef *exception)
{
	JSStringRef text = JSStringCreateWithUTF8CString(sentence);
	JSValueRef message = JSValueMakeString(ctx, text);
	JSStringRelease(text);
	*exception = JSObjectMakeError(ctx, 1, &message, NULL);
	return JSValueMakeUndefined(ctx);
}

static struct mr_js *js_of(JSObjectRef self)
{
	return self ? JSObjectGetPrivate(self) : NULL;
}

/* A call's or operation's number: whole, exact in a double. */
static bool number_get(JSContextRef ctx, JSValueRef v, uint64_t *n)
{
	if (!JSValueIsNumber(ctx, v))
		return false;
	double d = JSValueToNumber(ctx, v, NULL);
	if (!(d >= 0 && d < 9007199254740992.0) || d != (double)(uint64_t)d)
		return false;
	*n = (uint64_t)d;
	return true;
}

static JSValueRef native_op(JSContextRef ctx, JSObjectRef f, JSObjectRef self, size_t argc, const JSValueRef argv[], JSValueRef *exception)
{
	struct mr_js *js = js_of(self);
	uint64_t n;
	struct mr_buf kind = {0};
	struct mr_str json;
	if (!js || argc < 3 || !number_get(ctx, argv[0], &n) || !string_get(js, argv[1], &kind) || !argument_get(js, argv[2], &json)) {
		mr_buf_fini(&kind);
		return refuse(ctx, "__host.op takes a call, a kind and JSON text", exception);
	}
	uint64_t op = js->host.op(js->host.arg, n, mr_buf_view(&kind), json);
	mr_buf_fini(&kind);
	scratch_done(&js->out);
	return JSValueMakeNumber(ctx, (double)op);
}

static JSValueRef native_done(
	JSContextRef ctx, JSObjectRef f, JSObjectRef self, size_t argc, const JSValueRef argv[], JSValueRef *exception)
{
	struct mr_js *js = js_of(self);
	uint64_t n;
	struct mr_str json;
	if (!js || argc < 3 || !number_get(ctx, argv[0], &n) || !argument_get(js, argv[2], &json))
		return refuse(ctx, "__host.done takes a call, a flag and JSON text", exception);
	js->host.done(js->host.arg, n, JSValueToBoolean(ctx, argv[1]), json);
	scratch_done(&js->out);
	return JSValueMakeUndefined(ctx);
}

static JSValueRef native_log(JSContextRef ctx, JSObjectRef f, JSObjectRef self, size_t argc, const JSValueRef argv[], JSValueRef *exception)
{
	struct mr_js *js = js_of(self);
	uint64_t n;
	struct mr_buf level = {0};
	struct mr_str text;
	if (!js || argc < 3 || !number_get(ctx, argv[0], &n) || !string_get(js, argv[1], &level) || !argument_get(js, argv[2], &text)) {
		mr_buf_fini(&level);
		return refuse(ctx, "__host.log takes a call, a level and text", exception);
	}
	js->host.log(js->host.arg, n, mr_buf_view(&level), text);
	mr_buf_fini(&level);
	scratch_done(&js->out);
	return JSValueMakeUndefined(ctx);
}

static JSValueRef native_identity(
	JSContextRef ctx, JSObjectRef f, JSObjectRef self, size_t argc, const JSValueRef argv[], JSValueRef *exception)
{
	struct mr_js *js = js_of(self);
	uint64_t n;
	if (!js || argc < 1 || !number_get(ctx, argv[0], &n))
		return refuse(ctx, "__host.identity takes a call", exception);
	js->host.identity(js->host.arg, n);
	return JSValueMakeUndefined(ctx);
}

/* A whole array of bytes that the prelude made for this. */
static bool bytes_get(JSContextRef ctx, JSValueRef v, struct mr_str *s)
{
	if (JSValueGetTypedArrayType(ctx, v, NULL) != kJSTypedArrayTypeUint8Array)
		return false;
	JSObjectRef o = JSValueToObject(ctx, v, NULL);
	if (JSObjectGetTypedArrayByteOffset(ctx, o, NULL) != 0)
		return false;
	s->n = JSObjectGetTypedArrayByteLength(ctx, o, NULL);
	s->p = s->n ? JSObjectGetTypedArrayBytesPtr(ctx, o, NULL) : "";
	return s->p != NULL;
}

static JSValueRef bytes_value(JSContextRef ctx, const uint8_t *p, size_t n)
{
	JSObjectRef o = JSObjectMakeTypedArray(ctx, kJSTypedArrayTypeUint8Array, n, NULL);
	void *to = o ? JSObjectGetTypedArrayBytesPtr(ctx, o, NULL) : NULL;
	if (!to)
		return JSValueMakeUndefined(ctx);
	memcpy(to, p, n);
	return o;
}

/* (name, data): a digest; (name, data, key): an HMAC; undefined: of no known name. */
static JSValueRef native_digest(
	JSContextRef ctx, JSObjectRef f, JSObjectRef self, size_t argc, const JSValueRef argv[], JSValueRef *exception)
{
	struct mr_js *js = js_of(self);
	struct mr_str data, key;
	struct mr_buf name = {0};
	uint8_t out[MR_DIGEST_MOST];
	bool keyed = argc > 2;
	if (!js || argc < 2 || !bytes_get(ctx, argv[1], &data) || (keyed && !bytes_get(ctx, argv[2], &key)) ||
		!string_get(js, argv[0], &name)) {
		mr_buf_fini(&name);
		return refuse(ctx, "digest takes a name and bytes", exception);
	}
	size_t n = keyed ? mr_digest_keyed(mr_buf_view(&name), key, data, out) : mr_digest(mr_buf_view(&name), data, out);
	mr_buf_fini(&name);
	return n ? bytes_value(ctx, out, n) : JSValueMakeUndefined(ctx);
}

/* Whether two arrays are the same, in a time that says nothing of where they differ. */
static JSValueRef native_same(
	JSContextRef ctx, JSObjectRef f, JSObjectRef self, size_t argc, const JSValueRef argv[], JSValueRef *exception)
{
	struct mr_str a, b;
	if (argc < 2 || !bytes_get(ctx, argv[0], &a) || !bytes_get(ctx, argv[1], &b))
		return refuse(ctx, "same takes two arrays of bytes", exception);
	return JSValueMakeBoolean(ctx, a.n == b.n && mr_equal_ct(a.p, b.p, a.n));
}

static const JSStaticFunction native_functions[] = {
	{"op", native_op, kJSPropertyAttributeReadOnly},
	{"done", native_done, kJSPropertyAttributeReadOnly},
	{"log", native_log, kJSPropertyAttributeReadOnly},
	{"identity", native_identity, kJSPropertyAttributeReadOnly},
	{"digest", native_digest, kJSPropertyAttributeReadOnly},
	{"same", native_same, kJSPropertyAttributeReadOnly},
	{NULL, NULL, 0},
};

/* ---- errors ---- */

/* What was thrown as text: "name: message", where, stack. */
static void exception_text(struct mr_js *js, JSValueRef thrown, struct mr_error *err)
{
	struct mr_buf b = {0};
	if (!thrown || !string_get(js, thrown, &b))
		mr_buf_z(&b, "an error that has no text");
	if (thrown && JSValueIsObject(js->ctx, thrown)) {
		JSObjectRef o = JSValueToObject(js->ctx, thrown, NULL);
		JSValueRef url = property(js, o, "sourceURL"), line = property(js, o, "line"), column = property(js, o, "column");
		JSValueRef stack = property(js, o, "stack");
		if (url && line) {
			mr_buf_z(&b, "\n    at ");
			string_get(js, url, &b);
			mr_buf_char(&b, ':');
			string_get(js, line, &b);
			if (column) {
				mr_buf_char(&b, ':');
				string_get(js, column, &b);
			}
		}
		if (stack) {
			mr_buf_z(&b, "\n");
			string_get(js, stack, &b);
		}
	}
	mr_fail(err, MR_FUNCTION_FAILED, "%s", b.p);
	mr_buf_fini(&b);
}

static bool should_stop(JSContextRef ctx, void *arg)
{
	struct mr_js *js = arg;
	js->stopped = true;
	return true;
}

static enum mr_js_end ended(struct mr_js *js, JSValueRef exception, struct mr_error *err)
{
	if (js->stopped) {
		mr_fail_data(err, MR_TIME_LIMIT, "{\"setting\":\"function_time_limit\"}",
			"The function's code ran for more than %" PRId64 " ms without a pause (function_time_limit).", js->limits.slice_ms);
		return MR_JS_TIME;
	}
	if (!exception)
		return MR_JS_RAN;
	exception_text(js, exception, err);
	return MR_JS_THREW;
}

/* A microtask that was stopped leaves its end pending: the next call into the engine would abort the process. Evaluating a script takes it
 * off; what microtasks are left run then, and may be stopped too. */
static void clear_stop(struct mr_js *js)
{
	JSStringRef nothing = JSStringCreateWithUTF8CString("0");
	JSValueRef exception;
	do {
		exception = NULL;
		JSEvaluateScript(js->ctx, nothing, NULL, NULL, 1, &exception);
	} while (exception);
	JSStringRelease(nothing);
}

/* Enters the engine by one of the prelude's doors; microtasks have run when it returns. */
static enum mr_js_end enter(struct mr_js *js, enum door door, size_t argc, const JSValueRef argv[], JSValueRef *value, struct mr_error *err)
{
	MR_ASSERT(!js->inside);
	js->inside = true;
	js->stopped = false;
	js->entries++;
	JSValueRef exception = NULL;
	JSValueRef v = JSObjectCallAsFunction(js->ctx, js->doors[door], NULL, argc, argv, &exception);
	if (js->stopped)
		clear_stop(js);
	js->inside = false;
	if (value)
		*value = v;
	return ended(js, exception, err);
}

/* ---- life ---- */

/* As deep as code may call itself elsewhere: about 10,000 calls. Code that does so for ever costs less until it is told. */
#define STACK_BYTES "1048576"
/* The last tier of the compiler is for code that runs for tens of milliseconds on end (the library's own: 64,000). Calls are short: it
 * makes them no quicker, and took a fifth of a worker's time in its first minutes (bench/functions --only engine: the first 1000 calls). */
#define LAST_TIER_AFTER "10000000"

/* Options are read when the library makes its first heap. */
static void engine_options(const struct mr_js_limits *limits)
{
	static bool done;
	if (done)
		return;
	done = true;
	char ram[32];
	snprintf(ram, sizeof ram, "%" PRId64, limits->memory_bytes);
	setenv("JSC_useWasm", "0", 1);
	setenv("JSC_forceRAMSize", ram, 1);
	setenv("JSC_maxPerThreadStackUsage", STACK_BYTES, 1);
	setenv("JSC_thresholdForFTLOptimizeAfterWarmUp", LAST_TIER_AFTER, 1);
	setenv("TZ", "UTC", 1); /* dates are the same on every machine */
}

static void load_prelude(struct mr_js *js)
{
	JSStringRef source = JSStringCreateWithUTF8CString(mr_prelude), name = JSStringCreateWithUTF8CString("prelude.js");
	JSValueRef exception = NULL;
	JSValueRef setup = JSEvaluateScript(js->ctx, source, NULL, name, 1, &exception);
	JSStringRelease(source);
	JSStringRelease(name);
	JSObjectRef native = JSObjectMake(js->ctx, js->native_class, js);
	JSValueRef args[] = {native}, doors = NULL;
	if (setup && !exception)
		doors = JSObjectCallAsFunction(js->ctx, (JSObjectRef)setup, NULL, 1, args, &exception);
	if (exception) {
		struct mr_error err;
		exception_text(js, exception, &err);
		mr_die("the prelude does not run: %s", err.message);
	}
	for (int i = 0; i < DOORS; i++) {
		js->doors[i] = (JSObjectRef)property(js, (JSObjectRef)doors, door_names[i]);
		MR_ASSERT(js->doors[i]);
		JSValueProtect(js->ctx, js->doors[i]);
	}
}

struct mr_js *mr_js_new(const struct mr_js_host *host, const struct mr_js_limits *limits)
{
	MR_ASSERT(host->op && host->done && host->log && host->identity && limits->slice_ms > 0);
	engine_options(limits);
	struct mr_js *js = mr_alloc(sizeof *js);
	js->host = *host;
	js->limits = *limits;
	js->group = JSContextGroupCreate();
	js->ctx = JSGlobalContextCreateInGroup(js->group, NULL);
	JSClassDefinition native = kJSClassDefinitionEmpty;
	native.className = "Host";
	native.staticFunctions = native_functions;
	js->native_class = JSClassCreate(&native);
	load_prelude(js);
	JSStringRef why = JSStringCreateWithUTF8CString("Code cannot be made from text here (eval, Function)");
	JSGlobalContextSetEvalEnabled(js->ctx, false, why);
	JSStringRelease(why);
	JSGlobalContextSetUnhandledRejectionCallback(js->ctx, js->doors[DOOR_REJECTED], NULL);
	JSContextGroupSetExecutionTimeLimit(js->group, (double)limits->slice_ms / 1000, should_stop, js);
	return js;
}

void mr_js_delete(struct mr_js **jsp)
{
	struct mr_js *js = *jsp;
	if (!js)
		return;
	*jsp = NULL;
	for (int i = 0; i < DOORS; i++)
		JSValueUnprotect(js->ctx, js->doors[i]);
	JSGlobalContextRelease(js->ctx);
	JSContextGroupRelease(js->group);
	JSClassRelease(js->native_class);
	mr_buf_fini(&js->in);
	mr_buf_fini(&js->out);
	free(js);
}

void mr_js_variables(struct mr_js *js, struct mr_str json)
{
	struct mr_error err;
	JSValueRef argv[] = {string_value(js, json)};
	enum mr_js_end end = enter(js, DOOR_VARIABLES, 1, argv, NULL, &err);
	MR_ASSERT(end == MR_JS_RAN);
}

bool mr_js_load(struct mr_js *js, struct mr_str source, const char *name, struct mr_error *err)
{
	if (memchr(source.p, 0, source.n))
		return mr_fail(err, MR_FUNCTION_FAILED, "%s holds a NUL byte", name);
	JSStringRef text = string_new(js, source), url = JSStringCreateWithUTF8CString(name);
	JSValueRef exception = NULL;
	js->stopped = false;
	js->inside = true;
	JSEvaluateScript(js->ctx, text, NULL, url, 1, &exception);
	if (js->stopped)
		clear_stop(js);
	js->inside = false;
	JSStringRelease(text);
	JSStringRelease(url);
	return ended(js, exception, err) == MR_JS_RAN && enter(js, DOOR_LOADED, 0, NULL, NULL, err) == MR_JS_RAN;
}

/* ---- entries ---- */

enum mr_js_end mr_js_call(
	struct mr_js *js, uint64_t n, struct mr_str fn, struct mr_str args, const struct mr_js_env *env, struct mr_error *err)
{
	JSValueRef argv[] = {
		JSValueMakeNumber(js->ctx, (double)n),
		string_value(js, fn),
		string_value(js, args),
		string_value(js, env->json),
		JSValueMakeNumber(js->ctx, env->now_ms),
		string_value(js, env->seed),
		JSValueMakeBoolean(js->ctx, env->live),
	};
	return enter(js, DOOR_CALL, MR_COUNT(argv), argv, NULL, err);
}

enum mr_js_end mr_js_settle(struct mr_js *js, uint64_t n, uint64_t op, bool ok, struct mr_str json, struct mr_error *err)
{
	JSValueRef argv[] = {
		JSValueMakeNumber(js->ctx, (double)n),
		JSValueMakeNumber(js->ctx, (double)op),
		JSValueMakeBoolean(js->ctx, ok),
		string_value(js, json),
	};
	return enter(js, DOOR_SETTLE, MR_COUNT(argv), argv, NULL, err);
}

void mr_js_forget(struct mr_js *js, uint64_t n)
{
	struct mr_error err;
	JSValueRef argv[] = {JSValueMakeNumber(js->ctx, (double)n)};
	if (enter(js, DOOR_FORGET, 1, argv, NULL, &err) != MR_JS_RAN)
		mr_log(MR_WARN, "the app's runtime failed to forget a call: %s", err.message);
}

bool mr_js_manifest(struct mr_js *js, struct mr_buf *out, struct mr_error *err)
{
	JSValueRef v = NULL;
	if (enter(js, DOOR_MANIFEST, 0, NULL, &v, err) != MR_JS_RAN)
		return false;
	if (!string_get(js, v, out))
		return mr_fail(err, MR_FUNCTION_FAILED, "The app's manifest is not valid text");
	return true;
}

enum mr_js_end mr_js_check(struct mr_js *js, struct mr_str entity, struct mr_str json, struct mr_buf *out, struct mr_error *err)
{
	JSValueRef argv[] = {string_value(js, entity), string_value(js, json)}, v = NULL;
	enum mr_js_end end = enter(js, DOOR_CHECK, MR_COUNT(argv), argv, &v, err);
	if (end == MR_JS_RAN && !string_get(js, v, out)) {
		mr_fail(err, MR_FUNCTION_FAILED, "What the app's runtime says is not valid text");
		return MR_JS_THREW;
	}
	return end;
}

size_t mr_js_heap(struct mr_js *js)
{
	JSObjectRef figures = JSGetMemoryUsageStatistics(js->ctx);
	JSValueRef size = figures ? property(js, figures, "heapSize") : NULL;
	return size ? (size_t)JSValueToNumber(js->ctx, size, NULL) : 0;
}

void mr_js_collect(struct mr_js *js)
{
	JSSynchronousGarbageCollectForDebugging(js->ctx);
}

uint64_t mr_js_entries(const struct mr_js *js)
{
	return js->entries;
}
