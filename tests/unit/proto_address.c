/* Which addresses are public: both ends of every special range, and their neighbours outside. */
#include "tests/unit/vectors.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "proto/ground/address.h"

static bool is_public(const char *text)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(443)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
	if (inet_pton(AF_INET, text, &in4.sin_addr) == 1)
		return mr_address_public((const struct sockaddr *)&in4, sizeof(in4));
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return mr_address_public((const struct sockaddr *)&in6, sizeof(in6));
}

static void all_are(bool want, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_public(texts[i]) != want)
			fail_msg("%s is taken to be %s", texts[i], want ? "special" : "public");
}

static void rule_29_special_ranges_of_ipv4(void **state)
{
	static const char *const special[] = {"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255",
		"127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255",
		"192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.0", "192.88.99.255", "192.168.0.0", "192.168.255.255",
		"198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255", "224.0.0.1",
		"239.255.255.255", "240.0.0.0", "255.255.255.255"};
	static const char *const outside[] = {"1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255",
		"192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
		"198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"};
	all_are(false, special, MR_COUNT(special));
	all_are(true, outside, MR_COUNT(outside));
}

static void rule_29_special_ranges_of_ipv6(void **state)
{
	static const char *const special[] = {"::", "::1", "::7f00:1", "::8.8.8.8", "64:ff9b:1::808:808",
		"100::", "1fff:ffff::", "2001::", "2001::808:808", "2001:2::1", "2001:1ff:ffff::", "2001:db8::", "2001:db8:ffff::1",
		"2002::", "2002:7f00:1::", "2002:808:808::1", "2002:ffff::", "3fff::", "3fff:fff:ffff::", "4000::", "5f00::1", "fc00::1",
		"fd00:ec2::254", "fdff:ffff::", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	static const char *const outside[] = {"2000::", "2001:200::", "2001:4860:4860::8888", "2001:db7:ffff::1",
		"2001:db9::", "2003::", "2606:4700::1111", "2a00:1450::1", "3ffe:ffff::", "3fff:1000::"};
	all_are(false, special, MR_COUNT(special));
	all_are(true, outside, MR_COUNT(outside));
}

static void rule_29_ipv4_written_in_ipv6(void **state)
{
	static const char *const special[] = {"::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
		"::ffff:255.255.255.255", "64:ff9b::127.0.0.1", "64:ff9b::192.168.1.1", "64:ff9b::a9fe:a9fe", "64:ff9b::1:808:808",
		"::fffe:8.8.8.8", "::1:ffff:8.8.8.8", "::ffff:0:8.8.8.8"};
	static const char *const outside[] = {"::ffff:8.8.8.8", "::ffff:172.32.0.0", "64:ff9b::8.8.8.8", "64:ff9b::101:101"};
	all_are(false, special, MR_COUNT(special));
	all_are(true, outside, MR_COUNT(outside));
}

static void rule_29_what_is_no_internet_address(void **state)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
	assert_int_equal(inet_pton(AF_INET, "8.8.8.8", &in4.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET6, "2606:4700::1111", &in6.sin6_addr), 1);
	assert_true(mr_address_public((const struct sockaddr *)&in4, sizeof(in4)));
	for (socklen_t n = 0; n < sizeof(in4); n++)
		assert_false(mr_address_public((const struct sockaddr *)&in4, n));
	for (socklen_t n = 0; n < sizeof(in6); n++)
		assert_false(mr_address_public((const struct sockaddr *)&in6, n));
	assert_false(mr_address_public((const struct sockaddr *)&local, sizeof(local)));
	in4.sin_family = AF_UNSPEC;
	assert_false(mr_address_public((const struct sockaddr *)&in4, sizeof(in4)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_29_special_ranges_of_ipv4),
		cmocka_unit_test(rule_29_special_ranges_of_ipv6),
		cmocka_unit_test(rule_29_ipv4_written_in_ipv6),
		cmocka_unit_test(rule_29_what_is_no_internet_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
