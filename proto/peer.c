#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { TEXT_MAX = 46 /* of an address; INET6_ADDRSTRLEN */, IPV4_AT = 12, IPV4_BITS = 8 * IPV4_AT };

static const uint8_t ipv4_in_ipv6[IPV4_AT] = {[10] = 0xff, [11] = 0xff};

/* --- one address --- */

static struct mr_ip of_ipv4(const struct in_addr *in)
{
	struct mr_ip ip;
	memcpy(ip.b, ipv4_in_ipv6, IPV4_AT);
	memcpy(ip.b + IPV4_AT, in, sizeof *in);
	return ip;
}

bool mr_ip_of(const struct sockaddr *address, struct mr_ip *ip)
{
	if (address->sa_family == AF_INET)
		*ip = of_ipv4(&((const struct sockaddr_in *)address)->sin_addr);
	else if (address->sa_family == AF_INET6)
		memcpy(ip->b, &((const struct sockaddr_in6 *)address)->sin6_addr, sizeof ip->b);
	return address->sa_family == AF_INET || address->sa_family == AF_INET6;
}

static bool is_port(struct mr_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0 && s.n <= 5;
}

/* Takes a port off, and the brackets of IPv6. */
static bool strip(struct mr_str *s)
{
	if (s->n && s->p[0] == '[') {
		const char *end = memchr(s->p, ']', s->n);
		if (!end)
			return false;
		struct mr_str rest = {end + 1, (size_t)(s->p + s->n - end - 1)};
		*s = (struct mr_str){s->p + 1, (size_t)(end - s->p - 1)};
		return memchr(s->p, ':', s->n) && (!rest.n || (rest.p[0] == ':' && is_port((struct mr_str){rest.p + 1, rest.n - 1})));
	}
	const char *colon = s->n ? memchr(s->p, ':', s->n) : NULL;
	size_t at = colon ? (size_t)(colon - s->p) : s->n;
	if (!colon || memchr(colon + 1, ':', s->n - at - 1))
		return true;
	struct mr_str port = {colon + 1, s->n - at - 1};
	s->n = at;
	return is_port(port);
}

bool mr_ip_read(struct mr_str text, struct mr_ip *ip)
{
	char z[TEXT_MAX];
	struct in_addr in4;

	if (!strip(&text) || !text.n || text.n >= sizeof z || memchr(text.p, '\0', text.n))
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, &in4) != 1)
		return inet_pton(AF_INET6, z, ip->b) == 1;
	*ip = of_ipv4(&in4);
	return true;
}

static bool is_ipv4(const struct mr_ip *ip)
{
	return memcmp(ip->b, ipv4_in_ipv6, IPV4_AT) == 0;
}

uint64_t mr_ip_key(const struct mr_ip *ip)
{
	uint64_t key = 0;
	if (is_ipv4(ip)) /* written where no IPv6 address of a network begins */
		return (uint64_t)0xffff << 32 | (uint64_t)ip->b[12] << 24 | (uint64_t)ip->b[13] << 16 | (uint64_t)ip->b[14] << 8 |
		       ip->b[15];
	for (size_t i = 0; i < 8; i++)
		key = key << 8 | ip->b[i];
	return key ? key : 1;
}

/* --- ranges --- */

struct mr_ip_range {
	struct mr_ip ip;
	unsigned bits;
};

static bool read_bits(struct mr_str s, unsigned most, unsigned *bits)
{
	*bits = 0;
	if (s.n < 1 || s.n > 3)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*bits = 10 * *bits + (unsigned)(s.p[i] - '0');
	}
	return *bits <= most;
}

static bool agrees(const struct mr_ip *a, const struct mr_ip *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(a->b, b->b, whole) != 0)
		return false;
	return !rest || (a->b[whole] ^ b->b[whole]) >> (8 - rest) == 0;
}

static bool read_range(struct mr_str text, struct mr_ip_range *range)
{
	const char *slash = memchr(text.p, '/', text.n);
	struct mr_str ip = {text.p, slash ? (size_t)(slash - text.p) : text.n};
	bool colon = memchr(ip.p, ':', ip.n);
	range->bits = 128;
	if (memchr(ip.p, '[', ip.n) || (colon && memchr(ip.p, '.', ip.n)) || !mr_ip_read(ip, &range->ip))
		return false;
	bool ipv4 = !colon;
	if (!slash)
		return true;
	if (!read_bits((struct mr_str){slash + 1, text.n - ip.n - 1}, ipv4 ? 32 : 128, &range->bits))
		return false;
	range->bits += ipv4 ? IPV4_BITS : 0;
	return true;
}

static bool is_between(char c)
{
	return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool mr_ip_ranges_read(struct mr_ip_ranges *all, struct mr_str text, struct mr_error *err)
{
	*all = (struct mr_ip_ranges){0};
	for (size_t i = 0, n; i < text.n; i += n) {
		for (n = 0; i + n < text.n && !is_between(text.p[i + n]);)
			n++;
		if (!n) {
			n = 1;
			continue;
		}
		all->v = mr_realloc(all->v, (all->n + 1) * sizeof *all->v);
		if (!read_range((struct mr_str){text.p + i, n}, &all->v[all->n++])) {
			mr_ip_ranges_fini(all);
			return mr_fail(err, MR_BAD_VALUE, "%.*s is no address and no range of addresses (10.0.0.0/8, fd00::/8)",
				(int)MR_MIN(n, (size_t)80), text.p + i);
		}
	}
	return true;
}

void mr_ip_ranges_fini(struct mr_ip_ranges *all)
{
	free(all->v);
	*all = (struct mr_ip_ranges){0};
}

bool mr_ip_ranges_have(const struct mr_ip_ranges *all, const struct mr_ip *ip)
{
	for (size_t i = 0; i < all->n; i++)
		if (agrees(&all->v[i].ip, ip, all->v[i].bits))
			return true;
	return false;
}

/* --- behind proxies --- */

static struct mr_str trim(struct mr_str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = (struct mr_str){s.p + 1, s.n - 1};
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* The part of *s before the next such character that is not in quotes; *s is what follows that. */
static struct mr_str cut(struct mr_str *s, char end, bool quotes)
{
	size_t i = 0;
	bool quoted = false;
	for (; i < s->n && (quoted || s->p[i] != end); i++) {
		if (quotes && s->p[i] == '"')
			quoted = !quoted;
		else if (quoted && s->p[i] == '\\' && i + 1 < s->n)
			i++;
	}
	struct mr_str part = {s->p, i};
	*s = i < s->n ? (struct mr_str){s->p + i + 1, s->n - i - 1} : (struct mr_str){0};
	return part;
}

static bool quotes_close(struct mr_str s)
{
	bool quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			quoted = !quoted;
		else if (quoted && s.p[i] == '\\')
			i++;
	}
	return !quoted;
}

/* What one element of Forwarded says under this name, without quotes; false when it says nothing, or says it twice. One that ends within
 * quotes says nothing: who opened them may not be who wrote the rest. */
static bool find_pair(struct mr_str element, const char *wanted, struct mr_str *value)
{
	bool found = false;
	if (!quotes_close(element))
		return false;
	while (element.p) {
		struct mr_str pair = trim(cut(&element, ';', true)), name = cut(&pair, '=', false);
		if (name.n != strlen(wanted) || strncasecmp(name.p, wanted, name.n) != 0)
			continue;
		if (pair.n >= 2 && pair.p[0] == '"' && pair.p[pair.n - 1] == '"')
			pair = (struct mr_str){pair.p + 1, pair.n - 2};
		if (found || !pair.p)
			return false;
		*value = pair;
		found = true;
	}
	return found;
}

/* `for` of one element of Forwarded; a text with escapes in it is no address. */
static bool read_for(struct mr_str element, struct mr_ip *ip)
{
	struct mr_str text;
	return find_pair(element, "for", &text) && mr_ip_read(text, ip);
}

/* As if read from the right, by what is known of all up to here. */
struct behind {
	struct mr_ip ip;
	bool known; /* else the proxy that wrote what comes next is meant */
};

static void take(struct behind *b, const struct mr_ip_ranges *trusted, bool is_address, const struct mr_ip *ip)
{
	if (!is_address)
		b->known = false;
	else if (!b->known || !mr_ip_ranges_have(trusted, ip))
		*b = (struct behind){*ip, true};
}

struct mr_ip mr_ip_behind(
	const struct mr_ip_ranges *trusted, const struct mr_ip *peer, enum mr_proxy_header header, const struct mr_str *values, size_t n)
{
	struct behind b = {.known = false};
	for (size_t i = 0; i < n; i++) {
		struct mr_str rest = values[i];
		while (rest.p) {
			struct mr_str element = trim(cut(&rest, ',', header == MR_FORWARDED));
			struct mr_ip ip;
			if (element.n) /* empty elements of lists mean nothing */
				take(&b, trusted, header == MR_FORWARDED ? read_for(element, &ip) : mr_ip_read(element, &ip), &ip);
		}
	}
	return b.known ? b.ip : *peer;
}

static bool is_word(struct mr_str s, const char *word)
{
	return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static enum mr_scheme read_scheme(struct mr_str s)
{
	return is_word(s, "https") ? MR_SCHEME_HTTPS : is_word(s, "http") ? MR_SCHEME_HTTP : MR_SCHEME_UNSAID;
}

static enum mr_scheme scheme_of(struct mr_str element)
{
	struct mr_str proto;
	return find_pair(element, "proto", &proto) ? read_scheme(proto) : MR_SCHEME_UNSAID;
}

enum mr_scheme mr_scheme_behind(const struct mr_ip_ranges *trusted, enum mr_proxy_header header, const struct mr_str *values, size_t n)
{
	enum mr_scheme scheme = MR_SCHEME_UNSAID;
	bool first = true;
	for (size_t i = 0; i < n; i++) {
		struct mr_str rest = values[i];
		while (rest.p) {
			struct mr_str element = trim(cut(&rest, ',', header == MR_FORWARDED));
			struct mr_ip ip;
			if (!element.n)
				continue;
			if (header == MR_X_FORWARDED_FOR)
				scheme = read_scheme(element);
			else if (first || !read_for(element, &ip) || !mr_ip_ranges_have(trusted, &ip))
				scheme = scheme_of(element); /* who wrote what stands before is not known */
			first = false;
		}
	}
	return scheme;
}
