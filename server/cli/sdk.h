/* The SDK's entry points, as its package.json tells them. */
#ifndef MR_CLI_SDK_H
#define MR_CLI_SDK_H

#include "proto/ground/error.h"
#include "proto/ground/mem.h"

struct mr_sdk_entry {
	char *name;  /* "millrace/react" */
	char *code;  /* path of the JavaScript */
	char *types; /* path of its types, or NULL */
};
struct mr_sdk {
	struct mr_sdk_entry *v;
	size_t n;
};
/* dir: folder of the npm package. false: it is not the SDK, or not built; the sentence says what to do. */
bool mr_sdk_read(struct mr_sdk *sdk, const char *dir, struct mr_error *err);
void mr_sdk_fini(struct mr_sdk *sdk);

#endif
