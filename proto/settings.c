#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ground/mem.h"

/* Where a value came from, for the sentence that refuses it. */
struct given {
	const char *value; /* NULL: not given */
	char *from;
};

struct sources {
	struct given given[MR_SETTINGS];
	char *config; /* --config */
};

/* Names are written with dashes or underscores. */
static bool same_name(const char *name, const char *text, size_t n)
{
	if (strlen(name) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] != (text[i] == '-' ? '_' : text[i]))
			return false;
	return true;
}

static int find_setting(const char *text, size_t n)
{
	for (int i = 0; i < MR_SETTINGS; i++)
		if (same_name(mr_setting[i].name, text, n))
			return i;
	return -1;
}

static void give(struct sources *s, int id, const char *value, char *from)
{
	if (s->given[id].value) {
		free(from);
		return;
	}
	s->given[id] = (struct given){mr_strdup(value), from};
}

static void sources_fini(struct sources *s)
{
	for (int i = 0; i < MR_SETTINGS; i++) {
		free((char *)s->given[i].value);
		free(s->given[i].from);
	}
	free(s->config);
}

/* Command line. The later of two on the same line wins. */

static void take_option(struct sources *s, int id, const char *value, const char *option)
{
	free((char *)s->given[id].value);
	free(s->given[id].from);
	s->given[id] = (struct given){0};
	give(s, id, value, mr_strdup(option));
}

static bool read_argv(struct sources *s, int *argc, char **argv, struct mr_error *err)
{
	int kept = 1, i = 1;
	for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		const char *name = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "";
		size_t n = strcspn(name, "=");
		bool config = n == 6 && memcmp(name, "config", 6) == 0;
		int id = n ? find_setting(name, n) : -1;
		if (id < 0 && !config) {
			argv[kept++] = argv[i];
			continue;
		}
		const char *option = argv[i], *value = name[n] ? name + n + 1 : NULL;
		if (!value && !config && mr_setting[id].type == MR_ST_BOOL)
			value = "true";
		if (!value && i + 1 >= *argc)
			return mr_fail(err, MR_BAD_VALUE, "%s needs a value.", option);
		if (!value)
			value = argv[++i];
		if (config) {
			free(s->config);
			s->config = mr_strdup(value);
		} else {
			take_option(s, id, value, option);
		}
	}
	while (i < *argc)
		argv[kept++] = argv[i++];
	argv[kept] = NULL;
	*argc = kept;
	return true;
}

/* Environment */

static char *env_name(const char *setting)
{
	char *name = mr_printf("MILLRACE_%s", setting);
	for (char *p = name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return name;
}

static void read_env(struct sources *s)
{
	for (int i = 0; i < MR_SETTINGS; i++) {
		char *name = env_name(mr_setting[i].name);
		const char *value = getenv(name);
		/* An empty number is as good as none. */
		if (value && (*value || mr_setting[i].type == MR_ST_STRING))
			give(s, i, value, name);
		else
			free(name);
	}
	const char *url = getenv("DATABASE_URL");
	if (url && *url)
		give(s, MR_S_DATABASE_URL, url, mr_strdup("DATABASE_URL"));
}

/* File */

static char *trim(char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	char *end = p + strlen(p);
	while (end > p && isspace((unsigned char)end[-1]))
		*--end = 0;
	return p;
}

static char *unquote(char *value)
{
	size_t n = strlen(value);
	if (n < 2 || value[0] != '"' || value[n - 1] != '"')
		return value;
	value[n - 1] = 0;
	return value + 1;
}

static bool read_line(struct sources *s, char *line, const char *path, int number, struct mr_error *err)
{
	line = trim(line);
	if (!*line || *line == '#')
		return true;
	char *equals = strchr(line, '=');
	if (!equals)
		return mr_fail(err, MR_BAD_VALUE, "%s line %d: `name = value` was expected.", path, number);
	*equals = 0;
	char *name = trim(line), *value = unquote(trim(equals + 1));
	int id = find_setting(name, strlen(name));
	if (id < 0)
		return mr_fail(err, MR_BAD_VALUE, "%s line %d: there is no setting named \"%s\".", path, number, name);
	give(s, id, value, mr_printf("%s line %d", path, number));
	return true;
}

static bool read_file(struct sources *s, const char *path, bool must, struct mr_error *err)
{
	FILE *f = fopen(path, "re");
	if (!f && !must && errno == ENOENT)
		return true;
	if (!f)
		return mr_fail(err, MR_BAD_VALUE, "The settings file %s cannot be read: %s.", path, strerror(errno));
	char *line = NULL;
	size_t cap = 0;
	bool ok = true;
	for (int number = 1; ok && getline(&line, &cap, f) >= 0; number++)
		ok = read_line(s, line, path, number, err);
	free(line);
	fclose(f);
	return ok;
}

static bool read_config(struct sources *s, struct mr_error *err)
{
	if (s->config)
		return read_file(s, s->config, true, err);
	const char *env = getenv("MILLRACE_CONFIG");
	if (env && *env)
		return read_file(s, env, true, err);
	const char *dir = s->given[MR_S_APP_DIR].value;
	char *path = mr_printf("%s/millrace.conf", dir ? dir : mr_setting[MR_S_APP_DIR].def);
	bool ok = read_file(s, path, false, err);
	free(path);
	return ok;
}

/* Values */

static int64_t unit_factor(enum mr_setting_type type, const char *unit)
{
	static const struct {
		const char *name;
		enum mr_setting_type type;
		int64_t factor;
	} units[] = {{"ms", MR_ST_MS, 1}, {"s", MR_ST_MS, 1000}, {"m", MR_ST_MS, 60000}, {"min", MR_ST_MS, 60000}, {"h", MR_ST_MS, 3600000},
		{"b", MR_ST_BYTES, 1}, {"kb", MR_ST_BYTES, 1 << 10}, {"mb", MR_ST_BYTES, 1 << 20}, {"gb", MR_ST_BYTES, 1 << 30},
		{"k", MR_ST_BYTES, 1 << 10}, {"g", MR_ST_BYTES, 1 << 30}};
	if (!*unit)
		return 1;
	for (size_t i = 0; i < MR_COUNT(units); i++)
		if (units[i].type == type && strcasecmp(units[i].name, unit) == 0)
			return units[i].factor;
	return type == MR_ST_BYTES && strcasecmp(unit, "m") == 0 ? 1 << 20 : 0;
}

static bool read_number(const struct mr_setting *row, const char *text, int64_t *value)
{
	char *end;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (end == text || errno)
		return false;
	while (*end == ' ')
		end++;
	int64_t factor = unit_factor(row->type, end);
	return factor && !__builtin_mul_overflow((int64_t)n, factor, value) && *value >= row->min && *value <= row->max;
}

static bool is_choice(const char *choices, const char *text)
{
	size_t n = strlen(text);
	for (const char *p = choices; n && *p;) {
		size_t len = strcspn(p, " ");
		if (len == n && memcmp(p, text, n) == 0)
			return true;
		p += len + (p[len] == ' ');
	}
	return false;
}

static bool read_bool(const char *text, bool *value)
{
	static const char *const yes[] = {"true", "on", "yes", "1"}, *const no[] = {"false", "off", "no", "0"};
	for (size_t i = 0; i < MR_COUNT(yes); i++)
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*value = strcasecmp(text, yes[i]) == 0;
			return true;
		}
	return false;
}

/* Strings are kept for ever. */
static const char *keep(const char *text)
{
	return mr_strdup(text);
}

static bool set_value(struct mr_settings *s, const struct mr_setting *row, const char *text, const char *from, struct mr_error *err)
{
	void *member = (char *)s + row->offset;
	switch (row->type) {
	case MR_ST_INT:
	case MR_ST_MS:
	case MR_ST_BYTES:
		if (read_number(row, text, member))
			return true;
		return mr_fail(err, MR_BAD_VALUE, "%s: \"%s\" does not do for %s; allowed is a%s from %" PRId64 " to %" PRId64 ".", from,
			text, row->name,
			row->type == MR_ST_INT  ? " number"
			: row->type == MR_ST_MS ? " time (milliseconds, or with ms, s, m, h)"
						: " size (bytes, or with KB, MB, GB)",
			row->min, row->max);
	case MR_ST_BOOL:
		return read_bool(text, member) ||
		       mr_fail(err, MR_BAD_VALUE, "%s: \"%s\" does not do for %s; allowed is true or false.", from, text, row->name);
	case MR_ST_ENUM:
		if (!is_choice(row->choices, text))
			return mr_fail(err, MR_BAD_VALUE, "%s: \"%s\" does not do for %s; allowed is one of: %s.", from, text, row->name,
				row->choices);
		break;
	case MR_ST_STRING:
		break;
	}
	*(const char **)member = keep(text);
	return true;
}

static void make_absolute(const char **path)
{
	char *real = realpath(*path, NULL);
	if (!real && **path != '/') {
		char *here = getcwd(NULL, 0);
		real = mr_printf("%s/%s", here ? here : "", *path);
		free(here);
	}
	if (!real)
		return;
	free((char *)*path);
	*path = real;
}

bool mr_settings_load(struct mr_settings *s, int *argc, char **argv, struct mr_error *err)
{
	struct sources sources = {0};
	*s = (struct mr_settings){0};
	bool ok = read_argv(&sources, argc, argv, err);
	if (ok) {
		read_env(&sources);
		ok = read_config(&sources, err);
	}
	for (int i = 0; ok && i < MR_SETTINGS; i++) {
		const struct given *g = &sources.given[i];
		ok = set_value(s, &mr_setting[i], g->value ? g->value : mr_setting[i].def, g->value ? g->from : "default", err);
	}
	if (ok) {
		make_absolute(&s->data_dir);
		make_absolute(&s->app_dir);
	}
	sources_fini(&sources);
	return ok;
}

void mr_settings_export(const struct mr_settings *s)
{
	for (int i = 0; i < MR_SETTINGS; i++) {
		const struct mr_setting *row = &mr_setting[i];
		const void *member = (const char *)s + row->offset;
		char *name = env_name(row->name), *value;
		if (row->type == MR_ST_BOOL)
			value = mr_strdup(*(const bool *)member ? "true" : "false");
		else if (row->type == MR_ST_STRING || row->type == MR_ST_ENUM)
			value = mr_strdup(*(const char *const *)member);
		else
			value = mr_printf("%" PRId64, *(const int64_t *)member);
		setenv(name, value, 1);
		free(value);
		free(name);
	}
}
