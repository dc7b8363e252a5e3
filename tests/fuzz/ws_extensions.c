/* Any value of Sec-WebSocket-Extensions: no crash, no read beyond it, and what is answered is an offer that would be taken and mean the
 * same. */
#include <stdint.h>
#include <stdlib.h>

#include "fanout/ws_extensions.h"
#include "proto/ground/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mr_ws_deflate d = {.server_bits = -1}, again = {0};
	char *copy = malloc(n ? n : 1), answer[128];

	memcpy(copy, data, n);
	enum mr_ws_extension got = mr_ws_choose_extension((struct mr_str){copy, n}, &d);
	free(copy);
	if (got != MR_WS_DEFLATE) {
		MR_ASSERT(d.server_bits == -1);
		return 0;
	}
	MR_ASSERT(d.server_bits == 0 || (d.server_bits >= 8 && d.server_bits <= 15));
	mr_ws_deflate_answer(&d, answer);
	MR_ASSERT(mr_ws_choose_extension(mr_str(answer), &again) == MR_WS_DEFLATE && again.server_bits == d.server_bits);
	return 0;
}
