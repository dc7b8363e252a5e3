#include "address.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "mem.h"

/* The first `bits` of an address. */
struct range {
	uint8_t first[16];
	int bits;
};

static const struct range special4[] = {
	{{0}, 8},             /* this network; the kernel takes 0.0.0.0 for loopback */
	{{10}, 8},            /* private */
	{{100, 64}, 10},      /* shared by a carrier's customers */
	{{127}, 8},           /* loopback */
	{{169, 254}, 16},     /* link-local, metadata services */
	{{172, 16}, 12},      /* private */
	{{192, 0, 0}, 24},    /* protocol assignments */
	{{192, 0, 2}, 24},    /* documentation */
	{{192, 88, 99}, 24},  /* relays of 6to4 */
	{{192, 168}, 16},     /* private */
	{{198, 18}, 15},      /* benchmarks */
	{{198, 51, 100}, 24}, /* documentation */
	{{203, 0, 113}, 24},  /* documentation */
	{{224}, 4},           /* multicast */
	{{240}, 4},           /* reserved, and broadcast */
};

static const struct range unicast6 = {{0x20}, 3};
static const struct range special6[] = {
	{{0x20, 0x01}, 23},             /* protocol assignments: Teredo, benchmarks, overlays */
	{{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
	{{0x20, 0x02}, 16},             /* 6to4, which leads to any IPv4 address */
	{{0x3f, 0xff}, 20},             /* documentation */
};

/* Those whose last four bytes are an IPv4 address. */
static const struct range carriers[] = {
	{{[10] = 0xff, [11] = 0xff}, 96}, /* mapped */
	{{0x00, 0x64, 0xff, 0x9b}, 96},   /* NAT64 */
};

static bool within(const uint8_t *address, const struct range *r)
{
	int whole = r->bits / 8, rest = r->bits % 8;
	return memcmp(address, r->first, (size_t)whole) == 0 && (!rest || (address[whole] ^ r->first[whole]) >> (8 - rest) == 0);
}

static bool within_any(const uint8_t *address, const struct range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (within(address, &ranges[i]))
			return true;
	return false;
}

static bool public4(const uint8_t *address)
{
	return !within_any(address, special4, MR_COUNT(special4));
}

static bool public6(const uint8_t *address)
{
	if (within_any(address, carriers, MR_COUNT(carriers)))
		return public4(address + 12);
	return within(address, &unicast6) && !within_any(address, special6, MR_COUNT(special6));
}

bool mr_address_public(const struct sockaddr *address, socklen_t n)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	if (n < sizeof(address->sa_family))
		return false;
	if (address->sa_family == AF_INET && n >= sizeof(in4)) {
		memcpy(&in4, address, sizeof(in4));
		return public4((const uint8_t *)&in4.sin_addr);
	}
	if (address->sa_family == AF_INET6 && n >= sizeof(in6)) {
		memcpy(&in6, address, sizeof(in6));
		return public6((const uint8_t *)&in6.sin6_addr);
	}
	return false;
}
