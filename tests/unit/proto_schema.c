/* Manifests, settings. */
#include "tests/unit/vectors.h"

#include <unistd.h>

#include "proto/settings.h"

static const char manifest[] = "{\"version\":\"0123456789abcdef\",\"entities\":["
			       "{\"name\":\"Channel\",\"fields\":[{\"name\":\"name\",\"type\":\"string\",\"unique\":true}]},"
			       "{\"name\":\"Message\",\"schema\":\"public\",\"table\":\"Message\",\"fields\":["
			       "{\"name\":\"channel\",\"type\":\"uuid\",\"references\":\"Channel\",\"onDelete\":\"cascade\"},"
			       "{\"name\":\"author\",\"type\":\"string\",\"owner\":true,\"readonly\":true},"
			       "{\"name\":\"createdAt\",\"type\":\"datetime\",\"defaultNow\":true},"
			       "{\"name\":\"note\",\"type\":\"string\",\"optional\":true,\"default\":\"x\",\"serverOnly\":true}],"
			       "\"indexes\":[{\"name\":\"by_channel\",\"fields\":[\"channel\",\"createdAt\"],\"unique\":false}]}],"
			       "\"policies\":[{\"entity\":\"Message\",\"read\":\"true\",\"insert\":\"data.author == auth.userId\"},"
			       "{\"entity\":\"Message\",\"insert\":\"auth.ok || auth.admin\"}],"
			       "\"functions\":[{\"name\":\"messages.send\",\"kind\":\"mutation\"},{\"name\":\"admin/"
			       "users.list\",\"kind\":\"query\",\"auth\":\"public\","
			       "\"internal\":true}]}";

static void reads_a_manifest(void **state)
{
	struct mr_error err;
	char *copy = mr_strdup(manifest);
	struct mr_app *app = mr_app_read(mr_str(copy), &err);
	memset(copy, 'x', strlen(copy));
	free(copy);
	if (!app)
		fail_msg("%s", err.message);
	const struct mr_entity *m = mr_app_entity(app, MR_STR("Message"));
	assert_true(m && m->n == 5 && m->number == 1 && app->n_entities == 2 && app->n_fns == 2);
	assert_string_equal(app->version.p, "0123456789abcdef");
	assert_string_equal(m->fields[0].name.p, "id");
	assert_int_equal(m->fields[0].type, MR_T_UUID);
	assert_string_equal(m->fields[1].references.p, "Channel");
	assert_string_equal(m->fields[1].on_delete.p, "cascade");
	assert_true(m->fields[2].owner && m->fields[2].readonly && m->fields[3].default_now);
	assert_true(m->fields[4].optional && m->fields[4].server_only && m->fields[4].def->kind == MR_STRING);
	assert_true(m->n_indexes == 1 && m->indexes[0].n == 2 && m->indexes[0].fields[1] == 3);
	assert_string_equal(m->policy[MR_ACT_READ].p, "true");
	assert_string_equal(m->policy[MR_ACT_INSERT].p, "(data.author == auth.userId) && (auth.ok || auth.admin)");
	assert_int_equal(m->policy[MR_ACT_UPDATE].n, 0);
	assert_int_equal(mr_entity_field(m, MR_STR("note")), 4);
	assert_int_equal(mr_entity_field(m, MR_STR("nope")), -1);
	const struct mr_fn *send = mr_app_fn(app, MR_STR("messages.send")), *list = mr_app_fn(app, MR_STR("admin/users.list"));
	assert_true(send->kind == MR_FN_MUTATION && send->needs_user && mr_str_is(send->isolation, "serializable"));
	assert_true(list->kind == MR_FN_QUERY && !list->needs_user && list->internal);
	assert_null(mr_app_fn(app, MR_STR("Message")));
	assert_null(mr_app_entity(app, MR_STR("messages.send")));
	struct mr_app *held = mr_app_hold(app);
	mr_app_drop(&app);
	assert_non_null(mr_app_entity(held, MR_STR("Channel")));
	mr_app_drop(&held);
}

static void refuses_wrong_manifests(void **state)
{
	static const char *const texts[] = {"", "[]", "{", "{\"entities\":5}", "{\"entities\":[5]}", "{\"entities\":[{}]}",
		"{\"entities\":[{\"name\":\"a b\"}]}", "{\"entities\":[{\"name\":\"A\"},{\"name\":\"A\"}]}",
		"{\"entities\":[{\"name\":\"A\",\"table\":\"t\"},{\"name\":\"B\",\"table\":\"t\"}]}",
		"{\"entities\":[{\"name\":\"A\",\"table\":\"\"}]}", "{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[5]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"text\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"id\",\"type\":\"uuid\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"},{\"name\":\"x\",\"type\":\"int\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"uuid\",\"references\":\"B\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\",\"references\":\"A\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"uuid\",\"references\":\"A\",\"onDelete\":5}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"uuid\",\"onDelete\":\"set null\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"uuid\",\"onDelete\":\"explode\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\",\"optional\":1}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\",\"defaultNow\":true}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\",\"owner\":true}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\",\"default\":\"five\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"indexes\":[{\"name\":\"i\",\"fields\":[\"x\"]}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"indexes\":[{\"name\":\"i\",\"fields\":[]}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"indexes\":[{\"name\":\"i\",\"fields\":[5]}]}]}",
		"{\"policies\":[{\"entity\":\"A\",\"read\":\"true\"}]}",
		"{\"entities\":[{\"name\":\"A\"}],\"policies\":[{\"entity\":\"A\",\"read\":5}]}", "{\"policies\":[5]}",
		"{\"functions\":[{\"name\":\"f g\",\"kind\":\"query\"}]}", "{\"functions\":[{\"name\":\"a.f\",\"kind\":\"thing\"}]}",
		"{\"functions\":[{\"name\":\"a.f\",\"kind\":\"query\",\"auth\":\"king\"}]}",
		"{\"functions\":[{\"name\":\"a.f\",\"kind\":\"query\",\"isolation\":\"none\"}]}",
		"{\"functions\":[{\"name\":\"a.f\",\"kind\":\"query\"},{\"name\":\"a.f\",\"kind\":\"query\"}]}"};
	for (size_t i = 0; i < MR_COUNT(texts); i++) {
		struct mr_error err = {0};
		struct mr_app *app = mr_app_read(texts[i][0] ? mr_str(texts[i]) : mr_str(NULL), &err);
		if (app)
			fail_msg("%s was taken", texts[i]);
		assert_int_equal(err.code, MR_BAD_VALUE);
	}
}

static void shapes(void **state)
{
	static const char *const texts[] = {"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"bigint\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"y\",\"type\":\"int\"}]}]}",
		"{\"entities\":[{\"name\":\"B\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}]}",
		"{\"entities\":[{\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\",\"serverOnly\":true}]}]}"};
	uint64_t shape[MR_COUNT(texts)];
	struct mr_error err;
	for (size_t i = 0; i < MR_COUNT(texts); i++) {
		struct mr_app *app = mr_app_read(mr_str(texts[i]), &err);
		shape[i] = app->entities[0].shape;
		mr_app_drop(&app);
		for (size_t k = 0; k < i; k++)
			assert_true(shape[k] != shape[i]);
	}
}

/* Settings */

static void clear_environment(void)
{
	struct mr_settings none;
	memset(&none, 0, sizeof(none));
	unsetenv("DATABASE_URL");
	unsetenv("MILLRACE_CONFIG");
	for (int i = 0; i < MR_SETTINGS; i++) {
		char *name = mr_printf("MILLRACE_%s", mr_setting[i].name);
		for (char *p = name; *p; p++)
			*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
		unsetenv(name);
		free(name);
	}
}

static bool load(struct mr_settings *s, struct mr_error *err, int *argc, char **argv)
{
	*argc = 0;
	while (argv[*argc])
		(*argc)++;
	return mr_settings_load(s, argc, argv, err);
}

static void release(struct mr_settings *s)
{
	for (int i = 0; i < MR_SETTINGS; i++)
		if (mr_setting[i].type == MR_ST_STRING || mr_setting[i].type == MR_ST_ENUM)
			free(*(char **)((char *)s + mr_setting[i].offset));
}

static void settings_in_order(void **state)
{
	struct mr_settings s;
	struct mr_error err;
	int argc;
	char dir[] = "/tmp/millrace-settings-XXXXXX";
	assert_non_null(mkdtemp(dir));
	char *conf = mr_printf("%s/millrace.conf", dir), *arg = mr_printf("--app-dir=%s", dir);
	FILE *f = fopen(conf, "w");
	fputs("# how it runs\n\nport = 1111\nworkers=3\n  ring-bytes = 1 MB\nlisten = \"0.0.0.0\"\nping_interval = 30 s\n", f);
	fclose(f);
	clear_environment();
	setenv("MILLRACE_WORKERS", "4", 1);
	setenv("DATABASE_URL", "postgres://x", 1);
	char *argv[] = {"millrace", "serve", arg, "--port", "2222", "--verbose", "--mode=development", "--", "--port", "1", NULL};
	if (!load(&s, &err, &argc, argv))
		fail_msg("%s", err.message);
	assert_true(s.port == 2222 && s.workers == 4 && s.ring_bytes == 1 << 20 && s.ping_interval == 30000);
	assert_string_equal(s.listen, "0.0.0.0");
	assert_string_equal(s.mode, "development");
	assert_string_equal(s.database_url, "postgres://x");
	assert_string_equal(s.app_dir, dir);
	assert_true(s.data_dir[0] == '/');
	assert_int_equal(argc, 6);
	assert_string_equal(argv[1], "serve");
	assert_string_equal(argv[2], "--verbose");
	assert_string_equal(argv[3], "--");
	assert_null(argv[6]);
	/* Children load the same. */
	mr_settings_export(&s);
	char *bare[] = {"millrace", NULL};
	struct mr_settings child;
	assert_true(load(&child, &err, &argc, bare));
	assert_true(child.port == 2222 && child.workers == 4 && child.ring_bytes == 1 << 20);
	assert_string_equal(child.database_url, "postgres://x");
	release(&child);
	release(&s);
	clear_environment();
	unlink(conf);
	rmdir(dir);
	free(conf);
	free(arg);
}

static void wrong_settings(void **state)
{
	static const char *const options[] = {"--port=70000", "--port=-1", "--port=x", "--port=", "--port=80ms", "--mode=fast",
		"--mode=", "--ring-bytes=1 TB", "--ring-bytes=1", "--ping-interval=1 KB", "--workers=99999999999999999999",
		"--config=/nowhere/at/all"};
	clear_environment();
	for (size_t i = 0; i < MR_COUNT(options); i++) {
		struct mr_settings s;
		struct mr_error err = {0};
		int argc;
		char *option = mr_strdup(options[i]);
		char *argv[] = {"millrace", option, NULL};
		if (load(&s, &err, &argc, argv))
			fail_msg("%s was taken", options[i]);
		assert_int_equal(err.code, MR_BAD_VALUE);
		release(&s);
		free(option);
	}
	struct mr_settings s;
	struct mr_error err;
	int argc;
	char *last[] = {"millrace", "--port", NULL};
	assert_false(load(&s, &err, &argc, last));
	assert_string_equal(err.message, "--port needs a value.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_manifest),
		cmocka_unit_test(refuses_wrong_manifests),
		cmocka_unit_test(shapes),
		cmocka_unit_test(settings_in_order),
		cmocka_unit_test(wrong_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
