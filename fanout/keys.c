#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "aside.h"
#include "keys_fetch.h"
#include "proto/ground/hash.h"
#include "proto/ground/log.h"
#include "proto/ground/refs.h"

enum { LOOK_US = 100 * 1000, FILE_BYTES = 256 << 10, CONFIGURATION_DEPTH = 16 };

/* --- rings --- */

struct mr_keyring {
	atomic_uint refs;
	struct mr_trust trust;
	struct mr_issuer_keys keys[];
};

static struct mr_keyring *make_ring(const struct mr_trust *trust)
{
	size_t n = trust->issuers ? trust->issuers->n : 0;
	struct mr_keyring *ring = mr_alloc(sizeof *ring + n * sizeof *ring->keys);
	ring->refs = 1;
	ring->trust = *trust;
	ring->trust.keys = ring->keys;
	return ring;
}

static int64_t whole_seconds(int64_t ms)
{
	return (ms + 999) / 1000;
}

struct mr_keyring *mr_keyring_new(struct mr_str secret, const struct mr_settings *s, const struct mr_issuers *issuers)
{
	struct mr_trust trust = {.secret = secret,
		.leeway = whole_seconds(s->auth_leeway),
		.max_age = whole_seconds(s->auth_token_max_age),
		.issuers = issuers};
	return make_ring(&trust);
}

/* The same with other keys of issuer i. */
static struct mr_keyring *with_keys(const struct mr_keyring *old, size_t i, const struct mr_issuer_keys *keys)
{
	struct mr_keyring *ring = make_ring(&old->trust);
	for (size_t k = 0; k < old->trust.issuers->n; k++) {
		ring->keys[k] = k == i ? *keys : old->keys[k];
		if (ring->keys[k].set)
			mr_jwks_hold(ring->keys[k].set);
	}
	return ring;
}

struct mr_keyring *mr_keyring_hold(struct mr_keyring *ring)
{
	mr_refs_hold(&ring->refs);
	return ring;
}

void mr_keyring_drop(struct mr_keyring **r)
{
	struct mr_keyring *ring = *r;
	*r = NULL;
	if (!ring || !mr_refs_drop(&ring->refs))
		return;
	for (size_t i = 0; ring->trust.issuers && i < ring->trust.issuers->n; i++)
		mr_jwks_drop(&ring->keys[i].set);
	free(ring);
}

/* --- the hub's side --- */

struct source {
	_Atomic bool asked; /* a thread met a token of a key that is not there */
	bool busy;          /* it is being read */
	int64_t tried;      /* when that began last, monotonic microseconds */
	bool failing;
	uint64_t text;  /* hash of what was read last */
	uint64_t said;  /* of the failure that was logged last */
	int64_t logged; /* when, monotonic microseconds */
	struct stat file;
	struct mr_aside *aside; /* of a URL: a thread of its own, so that an issuer that hangs delays no other; NULL: at the end */
};

struct mr_keys {
	struct mr_hub *hub;
	struct mr_issuers issuers;
	struct source *sources; /* of each issuer */
	struct mr_timer *look;
	atomic_bool stop;
};

/* Keys being read. Its thread's alone until it is done. */
struct reading {
	struct mr_keys *keys;
	size_t i;
	int64_t began; /* seconds since 1970 */
	struct mr_jwks *set;
	uint64_t text;
	struct mr_error err;
};

static bool read_file(const char *path, struct mr_buf *out, struct mr_error *err)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return mr_fail(err, MR_BAD_VALUE, "%s", strerror(errno));
	out->n += fread(mr_buf_room(out, FILE_BYTES + 1), 1, FILE_BYTES + 1, f);
	bool ok = !ferror(f);
	fclose(f);
	return ok || mr_fail(err, MR_BAD_VALUE, "it cannot be read");
}

/* The OpenID configuration says where the keys are. It has to be of this issuer. */
static char *discover(const struct reading *r, struct mr_str name, const struct mr_buf *body, struct mr_error *err)
{
	struct mr_arena a = {0};
	struct mr_error why;
	const struct mr_node *root = mr_json_read(&a, mr_buf_view(body), CONFIGURATION_DEPTH, false, &why);
	struct mr_str url = mr_node_str(root, "jwks_uri");
	char *found = NULL;
	if (!mr_str_eq(mr_node_str(root, "issuer"), name))
		mr_fail(err, MR_BAD_VALUE, "it is not the OpenID configuration of this issuer");
	else if (!mr_issuers_url(url, r->keys->hub->settings.auth_jwks_private))
		mr_fail(err, MR_BAD_VALUE, "its jwks_uri is no URL that may be asked");
	else
		found = mr_strndup(url.p, url.n);
	mr_arena_fini(&a);
	return found;
}

static bool fetch(struct reading *r, const struct mr_issuer *issuer, struct mr_buf *body)
{
	bool with_private = r->keys->hub->settings.auth_jwks_private;
	if (!mr_keys_fetch(issuer->jwks, with_private, &r->keys->stop, body, &r->err))
		return false;
	if (!issuer->discovers)
		return true;
	char *url = discover(r, issuer->name, body, &r->err);
	mr_buf_reset(body);
	bool ok = url && mr_keys_fetch(url, with_private, &r->keys->stop, body, &r->err);
	free(url);
	return ok;
}

/* Aside, or here when it is a file. */
static void read_keys(void *arg)
{
	struct reading *r = arg;
	const struct mr_issuer *issuer = &r->keys->issuers.v[r->i];
	struct mr_buf body = {0};
	if (issuer->is_url ? fetch(r, issuer, &body) : read_file(issuer->jwks, &body, &r->err))
		r->set = mr_jwks_read(mr_buf_view(&body), &r->err);
	r->text = mr_hash_fixed(body.p, body.n, 0);
	mr_buf_fini(&body);
}

struct handing {
	struct mr_fanout *f;
	struct mr_keyring *ring;
};

static void *make_handing(struct mr_fanout *f, const void *ring)
{
	struct handing *h = mr_alloc(sizeof *h);
	*h = (struct handing){f, mr_keyring_hold((struct mr_keyring *)ring)};
	return h;
}

static void on_handing(void *arg)
{
	struct handing *h = arg;
	mr_keyring_drop(&h->f->keyring);
	h->f->keyring = h->ring;
	free(h);
}

static void succeeded(struct mr_keys *keys, struct source *s, const struct reading *r)
{
	struct mr_hub *hub = keys->hub;
	struct mr_keyring *old = hub->keyring;
	struct mr_issuer_keys now = {.set = r->set, .read = r->began};
	now.fresh = r->began + 1 + hub->settings.auth_jwks_cooldown / 1000;
	if (s->failing || s->text != r->text || !old->keys[r->i].set)
		mr_log(MR_INFO, "%zu keys of the issuer %s were read from %s", mr_jwks_count(r->set), keys->issuers.v[r->i].name.p,
			keys->issuers.v[r->i].jwks);
	s->text = r->text;
	hub->keyring = with_keys(old, r->i, &now);
	mr_hub_each(hub, on_handing, make_handing, hub->keyring);
	mr_keyring_drop(&old);
}

/* The same failure is logged once in auth_jwks_interval. */
static void failed(struct mr_keys *keys, struct source *s, const struct reading *r)
{
	const struct mr_issuer *issuer = &keys->issuers.v[r->i];
	uint64_t said = mr_hash_fixed(r->err.message, strlen(r->err.message), 0);
	keys->hub->counter[MR_C_AUTH_KEY_FAILURES_TOTAL]++;
	if (s->failing && s->said == said && mr_mono_us() - s->logged < keys->hub->settings.auth_jwks_interval * 1000)
		return;
	s->said = said;
	s->logged = mr_mono_us();
	mr_log(MR_WARN, "the keys of the issuer %s cannot be read from %s: %s. %s", issuer->name.p, issuer->jwks, r->err.message,
		keys->hub->keyring->keys[r->i].set ? "Those from before stay in use." : "Its tokens cannot be judged until then.");
}

static void on_read(void *arg)
{
	struct reading *r = arg;
	struct mr_keys *keys = r->keys;
	struct source *s = &keys->sources[r->i];
	s->busy = false;
	keys->hub->counter[MR_C_AUTH_KEY_READS_TOTAL]++;
	if (r->set && !keys->stop)
		succeeded(keys, s, r);
	else if (!keys->stop)
		failed(keys, s, r);
	s->failing = !r->set;
	mr_jwks_drop(&r->set);
	free(r);
}

static void begin(struct mr_keys *keys, size_t i)
{
	struct source *s = &keys->sources[i];
	struct reading *r = mr_alloc(sizeof *r);
	*r = (struct reading){.keys = keys, .i = i, .began = mr_wall_us() / 1000000};
	s->busy = true;
	s->asked = false;
	s->tried = mr_mono_us();
	mr_aside_do(s->aside, keys->hub->loop, read_keys, on_read, r);
}

static bool file_changed(const struct mr_issuer *issuer, struct source *s)
{
	struct stat now;
	if (stat(issuer->jwks, &now) != 0)
		return false; /* it is being replaced, or asked for when it is needed */
	bool same = now.st_ino == s->file.st_ino && now.st_size == s->file.st_size && now.st_mtim.tv_sec == s->file.st_mtim.tv_sec &&
		    now.st_mtim.tv_nsec == s->file.st_mtim.tv_nsec;
	s->file = now;
	return !same;
}

static bool is_due(struct mr_keys *keys, size_t i)
{
	const struct mr_settings *settings = &keys->hub->settings;
	struct source *s = &keys->sources[i];
	int64_t since_ms = (mr_mono_us() - s->tried) / 1000;
	if (s->busy)
		return false;
	if (!keys->issuers.v[i].is_url && file_changed(&keys->issuers.v[i], s))
		return true;
	if (s->asked || s->failing)
		return since_ms >= settings->auth_jwks_cooldown;
	return keys->issuers.v[i].is_url && since_ms >= settings->auth_jwks_interval;
}

static void on_look(void *arg)
{
	struct mr_keys *keys = arg;
	for (size_t i = 0; i < keys->issuers.n; i++)
		if (is_due(keys, i))
			begin(keys, i);
	mr_timer_start(keys->look, LOOK_US);
}

/* The setting: the array itself, or the path of a file with it. */
static void read_setting(struct mr_keys *keys)
{
	const char *setting = keys->hub->settings.auth_issuers;
	bool plain = keys->hub->settings.auth_jwks_private;
	struct mr_buf text = {0};
	struct mr_error err;
	if (!*setting)
		return;
	bool itself = setting[strspn(setting, " \t\r\n")] == '[';
	const char *slash = itself ? NULL : strrchr(setting, '/');
	if (itself)
		mr_buf_z(&text, setting);
	else if (!read_file(setting, &text, &err))
		mr_die("auth_issuers: %s: %s", setting, err.message);
	struct mr_str folder = {setting, slash ? MR_MAX((size_t)(slash - setting), (size_t)1) : 0};
	if (!mr_issuers_read(&keys->issuers, mr_buf_view(&text), slash ? folder : MR_STR(""), plain, &err))
		mr_die("%s", err.message);
	mr_buf_fini(&text);
}

static void read_first(struct mr_keys *keys)
{
	for (size_t i = 0; i < keys->issuers.n; i++) {
		const struct mr_issuer *issuer = &keys->issuers.v[i];
		if (issuer->is_url)
			keys->sources[i].aside = mr_aside_new(false);
		else
			file_changed(issuer, &keys->sources[i]);
		begin(keys, i);
		if (keys->sources[i].failing)
			mr_die("auth_issuers: %s cannot be used; see above.", issuer->jwks);
	}
}

struct mr_keys *mr_keys_new(struct mr_hub *hub)
{
	struct mr_keys *keys = mr_alloc(sizeof *keys);
	keys->hub = hub;
	read_setting(keys);
	hub->keyring = mr_keyring_new(hub->secret, &hub->settings, &keys->issuers);
	if (!keys->issuers.n)
		return keys;
	mr_keys_fetch_init();
	keys->sources = mr_alloc(keys->issuers.n * sizeof *keys->sources);
	read_first(keys);
	keys->look = mr_timer_new(hub->loop, on_look, keys);
	mr_timer_start(keys->look, LOOK_US);
	return keys;
}

void mr_keys_end(struct mr_keys *keys)
{
	keys->stop = true;
	if (keys->look)
		mr_timer_delete(&keys->look);
	for (size_t i = 0; i < keys->issuers.n; i++)
		mr_aside_delete(&keys->sources[i].aside);
}

void mr_keys_delete(struct mr_keys **keys)
{
	if (!*keys)
		return;
	mr_keyring_drop(&(*keys)->hub->keyring);
	mr_issuers_fini(&(*keys)->issuers);
	free((*keys)->sources);
	free(*keys);
	*keys = NULL;
}

/* --- the threads' side --- */

bool mr_keys_verify(struct mr_fanout *f, struct mr_arena *a, struct mr_str token, struct mr_token *t, struct mr_error *err)
{
	if (mr_jwt_verify(a, &f->keyring->trust, token, mr_wall_us() / 1000000, t, err))
		return true;
	if (err->code == MR_KEYS_UNAVAILABLE)
		f->hub->keys->sources[t->issuer].asked = true;
	return false;
}

int64_t mr_keys_leeway(const struct mr_fanout *f)
{
	return f->keyring->trust.leeway;
}
