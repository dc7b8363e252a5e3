/* Any bytes as a manifest. */
#include "proto/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mr_error err;
	struct mr_app *app = mr_app_read((struct mr_str){(const char *)data, n}, &err);
	mr_app_drop(&app);
	return 0;
}
