/* Which socket addresses are of the public internet. Whoever connects to a place that somebody else named (fetch, keys by URL) asks here
 * at each connect, after the name was looked up and after each redirect: never of a name, which may mean something else a moment later.
 *
 * Public is what the registries of special-purpose addresses (RFC 6890 and its successors) call reachable by everybody, and no more:
 * loopback, private and shared (carrier) ranges, link-local (the metadata of cloud machines), documentation, benchmarks, multicast,
 * broadcast and what is reserved are not; of IPv6 only 2000::/3 is, without the tunnels (Teredo, 6to4) and the special ranges inside it. An
 * IPv4 address that is written in IPv6 (::ffff:0:0/96, NAT64's 64:ff9b::/96) is judged as the IPv4 address that it is.
 */
#ifndef MR_GROUND_ADDRESS_H
#define MR_GROUND_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* address: as connect() would take it, n bytes. False also for every family but IPv4 and IPv6 (local sockets), and when n is too few. */
bool mr_address_public(const struct sockaddr *address, socklen_t n);

#endif
