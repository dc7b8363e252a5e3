#include "fetch_allow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "proto/ground/address.h"
#include "proto/ground/mem.h"

enum { ADDRESS_TEXT = INET6_ADDRSTRLEN + 10 };

/* As it stands in the list, and the length of that without its port; 0: it is neither IPv4 nor IPv6. */
static size_t print(char out[ADDRESS_TEXT], const struct sockaddr *address)
{
	char text[INET6_ADDRSTRLEN];
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
		snprintf(out, ADDRESS_TEXT, "%s:%d", text, ntohs(in->sin_port));
		return strlen(text);
	}
	if (address->sa_family != AF_INET6)
		return 0;
	const struct sockaddr_in6 *in = (const void *)address;
	inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
	snprintf(out, ADDRESS_TEXT, "[%s]:%d", text, ntohs(in->sin6_port));
	return strlen(text) + 2;
}

bool mr_fetch_allowed(const char *list, const struct sockaddr *address, socklen_t n)
{
	char text[ADDRESS_TEXT];
	if (mr_address_public(address, n))
		return true;
	size_t host = print(text, address);
	while (host && *list) {
		list += strspn(list, ", ");
		struct mr_str item = {list, strcspn(list, ", ")};
		if (mr_str_is(item, "all") || mr_str_is(item, text) || mr_str_eq(item, (struct mr_str){text, host}))
			return true;
		list += item.n;
	}
	return false;
}
