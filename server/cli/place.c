#include "place.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "files.h"
#include "proto/ground/log.h"

/* Folder of the running executable. */
static char *own_folder(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	MR_ASSERT(n > 0);
	path[n] = 0;
	char *slash = strrchr(path, '/');
	MR_ASSERT(slash);
	*slash = 0;
	return mr_strdup(path[0] ? path : "/");
}

/* Takes a candidate over; the first one that exists stays. */
static void take(char **found, char *candidate)
{
	if (!*found && candidate && mr_path_exists(candidate))
		*found = candidate;
	else
		free(candidate);
}

char *mr_place_above(const char *dir, const char *rel)
{
	char *at = mr_strdup(dir);
	char *found = NULL;
	for (;;) {
		take(&found, mr_printf("%s/%s", at, rel));
		char *slash = strrchr(at, '/');
		if (found || !slash)
			break;
		*slash = 0;
	}
	free(at);
	return found;
}

/* `room`: where the build tree has it, relative to our own folder there. */
static char *program(const char *own, const char *room, const char *name)
{
	char *found = NULL;
	const char *told = getenv("MILLRACE_LIBEXEC");
	if (told && *told)
		take(&found, mr_printf("%s/%s", told, name));
	take(&found, mr_printf("%s/%s/%s", own, room, name));
	take(&found, mr_printf("%s/../libexec/millrace/%s", own, name)); /* an installation that was moved as a whole */
	take(&found, mr_printf("%s/%s", MR_LIBEXECDIR, name));
	take(&found, mr_printf("%s/%s", own, name));
	return found;
}

/* The build tree names the source tree's SDK in a file beside the executable, so that no path of a builder's machine is compiled in. */
static char *sdk_of_source(const char *own)
{
	char *note = mr_printf("%s/sdk.path", own);
	struct mr_buf b = {0};
	struct mr_error none;
	char *path = NULL;
	if (mr_path_exists(note) && mr_file_read(note, &b, &none)) {
		while (b.n && b.p[b.n - 1] == '\n')
			b.p[--b.n] = 0;
		path = mr_strdup(b.p);
	}
	mr_buf_fini(&b);
	free(note);
	return path;
}

static char *find_sdk(const char *own)
{
	char *found = NULL;
	const char *told = getenv("MILLRACE_SDK");
	if (told && *told)
		return mr_strdup(told);
	take(&found, sdk_of_source(own));
	take(&found, mr_printf("%s/../share/millrace/sdk", own));
	take(&found, mr_strdup(MR_SDKDIR));
	return found;
}

static void find_tools(struct mr_place *p, const char *app_dir)
{
	struct utsname u;
	const char *arch = uname(&u) == 0 && strcmp(u.machine, "aarch64") == 0 ? "arm64" : "x64";
	char *esbuild = mr_printf("node_modules/@esbuild/linux-%s/bin/esbuild", arch);
	char *tsc = mr_printf("node_modules/@typescript/typescript-linux-%s/lib/tsc", arch);
	take(&p->esbuild, mr_place_above(app_dir, esbuild));
	take(&p->esbuild, mr_printf("%s/%s", p->sdk, esbuild));
	take(&p->esbuild, mr_printf("%.*s/esbuild", (int)(strrchr(p->worker, '/') - p->worker), p->worker)); /* installed beside it */
	take(&p->tsc, mr_place_above(app_dir, tsc));
	take(&p->tsc, mr_printf("%s/%s", p->sdk, tsc));
	free(esbuild);
	free(tsc);
}

bool mr_place_find(struct mr_place *p, const char *app_dir, struct mr_error *err)
{
	char *own = own_folder();
	*p = (struct mr_place){
		.worker = program(own, "../worker", "millrace-worker"),
		.fanout = program(own, "../../fanout", "millrace-fanout"),
		.sdk = find_sdk(own),
	};
	free(own);
	if (!p->worker)
		return mr_fail(err, MR_INTERNAL,
			"millrace-worker is not installed beside this program; set MILLRACE_LIBEXEC to its folder or install Millrace "
			"anew.");
	if (!p->sdk || !mr_path_is_dir(p->sdk))
		return mr_fail(err, MR_INTERNAL,
			"The SDK folder %s is missing; set MILLRACE_SDK to the folder of the npm package millrace.",
			p->sdk ? p->sdk : MR_SDKDIR);
	find_tools(p, app_dir);
	if (!p->esbuild)
		return mr_fail(err, MR_INTERNAL, "esbuild is missing: run `npm install --save-dev esbuild` in %s.", app_dir);
	return true;
}

void mr_place_fini(struct mr_place *p)
{
	free(p->worker);
	free(p->fanout);
	free(p->sdk);
	free(p->esbuild);
	free(p->tsc);
	*p = (struct mr_place){0};
}
