/* Any bytes as an address, as the setting trusted_proxies, and as what proxies say: no crash, no read beyond it; and nobody behind an
 * untrusted word is ever believed: what is found stands in the header, or is the peer. */
#include <stdint.h>
#include <stdlib.h>

#include "proto/ground/log.h"
#include "proto/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Two lines of the header, cut at the first line end. */
static void as_header(struct mr_str bytes)
{
	struct mr_error err;
	struct mr_ip_ranges trusted;
	struct mr_ip peer;
	const char *end = bytes.n ? memchr(bytes.p, '\n', bytes.n) : NULL;
	size_t first = end ? (size_t)(end - bytes.p) : bytes.n;
	struct mr_str lines[] = {{bytes.p, first}, {bytes.p + first + (end != NULL), bytes.n - first - (end != NULL)}};
	MR_ASSERT(mr_ip_ranges_read(&trusted, MR_STR("10.0.0.0/8, fd00::/8"), &err));
	MR_ASSERT(mr_ip_read(MR_STR("10.0.0.1"), &peer));
	for (int header = MR_X_FORWARDED_FOR; header <= MR_FORWARDED; header++) {
		struct mr_ip ip = mr_ip_behind(&trusted, &peer, (enum mr_proxy_header)header, lines, 2);
		MR_ASSERT(mr_ip_key(&ip) != 0);
		/* What a trusted proxy adds is what counts, unless the line was left in the middle of a quoted text. */
		struct mr_str more[] = {lines[0], lines[1], header == MR_FORWARDED ? MR_STR("for=1.2.3.4") : MR_STR("1.2.3.4")};
		struct mr_ip added = mr_ip_behind(&trusted, &peer, (enum mr_proxy_header)header, more, 3), want;
		MR_ASSERT(mr_ip_read(MR_STR("1.2.3.4"), &want) && memcmp(&added, &want, sizeof want) == 0);
		more[2] = header == MR_FORWARDED ? MR_STR("for=1.2.3.4;proto=https") : MR_STR("https");
		MR_ASSERT(mr_scheme_behind(&trusted, (enum mr_proxy_header)header, more, 3) == MR_SCHEME_HTTPS);
	}
	mr_ip_ranges_fini(&trusted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n ? n : 1);
	struct mr_str bytes = {copy, n};
	struct mr_error err;
	struct mr_ip_ranges ranges;
	struct mr_ip ip;
	memcpy(copy, data, n);
	if (mr_ip_read(bytes, &ip))
		MR_ASSERT(mr_ip_key(&ip) != 0);
	if (mr_ip_ranges_read(&ranges, bytes, &err))
		mr_ip_ranges_fini(&ranges);
	as_header(bytes);
	free(copy);
	return 0;
}
