/* Who a connection or request comes from: addresses, ranges of them, and what proxies say of those whom they speak for.
 *
 * IPv4 addresses are kept as they are written in IPv6 (::ffff:a.b.c.d). What is counted by address is counted by its key: of IPv4 the whole
 * address, of IPv6 the first 64 bits, which is the least that one subscriber has.
 */
#ifndef MR_PEER_H
#define MR_PEER_H

#include "ground/error.h"
#include "ground/mem.h"

struct sockaddr;

struct mr_ip {
	uint8_t b[16];
};
/* Of a socket's address; false for families other than IPv4 and IPv6. */
bool mr_ip_of(const struct sockaddr *address, struct mr_ip *ip);
/* Of text: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. False when it is none of these. */
bool mr_ip_read(struct mr_str text, struct mr_ip *ip);
uint64_t mr_ip_key(const struct mr_ip *ip); /* never 0, which is for those without an address */

struct mr_ip_ranges {
	struct mr_ip_range *v;
	size_t n;
};
/* Of text: addresses and CIDR ranges (`10.0.0.0/8`, `fd00::/8`), with commas or blanks between; may be empty. False and *err (bad_value):
 * the one that is wrong. */
bool mr_ip_ranges_read(struct mr_ip_ranges *all, struct mr_str text, struct mr_error *err);
void mr_ip_ranges_fini(struct mr_ip_ranges *all);
bool mr_ip_ranges_have(const struct mr_ip_ranges *all, const struct mr_ip *ip);

enum mr_proxy_header { MR_X_FORWARDED_FOR, MR_FORWARDED /* RFC 7239 */ };
/* Whom a trusted peer speaks for, by the header's values in the order of their lines: from the right on, the first address that is not one
 * of the trusted proxies'. Where something else stands than an address (`unknown`, a name, nonsense), the proxy that wrote it is meant:
 * what is left of it anybody may have written. */
struct mr_ip mr_ip_behind(
	const struct mr_ip_ranges *trusted, const struct mr_ip *peer, enum mr_proxy_header header, const struct mr_str *values, size_t n);

enum mr_scheme { MR_SCHEME_UNSAID, MR_SCHEME_HTTP, MR_SCHEME_HTTPS };
/* By which scheme those behind a trusted peer asked, where the header goes with MR_X_FORWARDED_FOR: the values of X-Forwarded-Proto, of
 * which the last one counts, the peer's; or those of Forwarded: what the outermost trusted proxy says. Unsaid where that is neither http
 * nor https. */
enum mr_scheme mr_scheme_behind(const struct mr_ip_ranges *trusted, enum mr_proxy_header header, const struct mr_str *values, size_t n);

#endif
