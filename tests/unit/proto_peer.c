/* Who a request comes from: addresses, ranges, and the headers of proxies. */
#include "tests/unit/vectors.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "proto/peer.h"

static struct mr_ip ip_of(const char *text)
{
	struct mr_ip ip;
	if (!mr_ip_read(mr_str(text), &ip))
		fail_msg("%s is no address", text);
	return ip;
}

static const char *text_of(const struct mr_ip *ip)
{
	static char text[INET6_ADDRSTRLEN];
	inet_ntop(AF_INET6, ip->b, text, sizeof text);
	return strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text;
}

static void addresses(void **state)
{
	static const char *const good[][2] = {{"1.2.3.4", "1.2.3.4"}, {"1.2.3.4:80", "1.2.3.4"}, {"::1", "::1"}, {"[::1]", "::1"},
		{"[2001:db8::7]:65535", "2001:db8::7"}, {"2001:db8::7", "2001:db8::7"}, {"::ffff:9.8.7.6", "9.8.7.6"},
		{"[::ffff:9.8.7.6]:1", "9.8.7.6"}};
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", "[1.2.3.4]",
		"[1.2.3.4]:80", "[::1", "[::1]x", "[::1]:", "::1]", "unknown", "_hidden", "localhost", " 1.2.3.4", "1.2.3.4 ",
		"fe80::1%eth0", "1.2.3.4, 5.6.7.8", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", "01.2.3.4"};
	struct mr_ip ip;
	for (size_t i = 0; i < MR_COUNT(good); i++) {
		ip = ip_of(good[i][0]);
		assert_string_equal(text_of(&ip), good[i][1]);
	}
	for (size_t i = 0; i < MR_COUNT(bad); i++)
		if (mr_ip_read(mr_str(bad[i]), &ip))
			fail_msg("\"%s\" is taken for %s", bad[i], text_of(&ip));
	assert_false(mr_ip_read((struct mr_str){"1.2.3.4\0x", 9}, &ip));
}

static void of_sockets(void **state)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x01020304)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct mr_ip ip;
	assert_true(mr_ip_of((const struct sockaddr *)&in4, &ip));
	assert_string_equal(text_of(&ip), "1.2.3.4");
	assert_true(mr_ip_of((const struct sockaddr *)&in6, &ip));
	assert_string_equal(text_of(&ip), "::1");
	assert_false(mr_ip_of((const struct sockaddr *)&local, &ip));
}

static uint64_t key_of(const char *text)
{
	struct mr_ip ip = ip_of(text);
	return mr_ip_key(&ip);
}

static void keys_are_of_what_one_subscriber_has(void **state)
{
	assert_int_equal(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
	assert_int_not_equal(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:3::1"));
	assert_int_equal(key_of("1.2.3.4"), key_of("::ffff:1.2.3.4"));
	assert_int_not_equal(key_of("1.2.3.4"), key_of("1.2.3.5"));
	assert_int_not_equal(key_of("0.0.0.0"), 0);
	assert_int_not_equal(key_of("::"), 0);
}

static bool has(const char *ranges, const char *ip)
{
	struct mr_ip_ranges all;
	struct mr_error err;
	struct mr_ip is = ip_of(ip);
	if (!mr_ip_ranges_read(&all, mr_str(ranges), &err))
		fail_msg("%s: %s", ranges, err.message);
	bool answer = mr_ip_ranges_have(&all, &is);
	mr_ip_ranges_fini(&all);
	return answer;
}

static void ranges(void **state)
{
	static const char *const in[][2] = {{"10.0.0.0/8", "10.255.0.1"}, {"10.0.0.0/8", "::ffff:10.1.1.1"}, {"1.2.3.4", "1.2.3.4"},
		{"1.2.3.4/32", "1.2.3.4"}, {"0.0.0.0/0", "9.9.9.9"}, {"fd00::/8", "fdff::1"}, {"::1", "::1"},
		{"2001:db8::/33", "2001:db8:7fff::"}, {" 9.9.9.9 ,\n10.0.0.0/8 ", "10.0.0.1"}, {"::/0", "1.2.3.4"},
		{"172.16.0.0/12", "172.31.255.255"}};
	static const char *const out[][2] = {{"", "1.2.3.4"}, {"10.0.0.0/8", "11.0.0.0"}, {"1.2.3.4", "1.2.3.5"},
		{"0.0.0.0/0", "2001:db8::1"}, {"fd00::/8", "fe00::1"}, {"2001:db8::/33", "2001:db8:8000::"},
		{"172.16.0.0/12", "172.32.0.0"}, {"0.0.0.0/1", "128.0.0.0"}};
	static const char *const bad[] = {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0/8", "proxy.internal",
		"10.0.0.1:80", "[::1]", "/8", "::ffff:10.0.0.0/8", "1.2.3.4;5.6.7.8"};
	struct mr_ip_ranges all;
	struct mr_error err;
	for (size_t i = 0; i < MR_COUNT(in); i++)
		assert_true(has(in[i][0], in[i][1]));
	for (size_t i = 0; i < MR_COUNT(out); i++)
		assert_false(has(out[i][0], out[i][1]));
	for (size_t i = 0; i < MR_COUNT(bad); i++)
		if (mr_ip_ranges_read(&all, mr_str(bad[i]), &err))
			fail_msg("%s is taken for ranges", bad[i]);
}

struct said {
	const char *lines[3];
	const char *means;
};

static void speak(enum mr_proxy_header header, const struct said *said, size_t n)
{
	struct mr_ip_ranges trusted;
	struct mr_error err;
	struct mr_ip peer = ip_of("10.0.0.1");
	assert_true(mr_ip_ranges_read(&trusted, MR_STR("10.0.0.0/8, fd00::/8"), &err));
	for (size_t i = 0; i < n; i++) {
		struct mr_str lines[3];
		size_t n_lines = 0;
		for (; n_lines < 3 && said[i].lines[n_lines]; n_lines++)
			lines[n_lines] = mr_str(said[i].lines[n_lines]);
		struct mr_ip ip = mr_ip_behind(&trusted, &peer, header, lines, n_lines);
		if (strcmp(text_of(&ip), said[i].means) != 0)
			fail_msg("%s means %s, not %s", said[i].lines[0] ? said[i].lines[0] : "nothing", text_of(&ip), said[i].means);
	}
	mr_ip_ranges_fini(&trusted);
}

static void rule_28_x_forwarded_for_from_the_right(void **state)
{
	static const struct said said[] = {
		{{NULL}, "10.0.0.1"},
		{{""}, "10.0.0.1"},
		{{"1.2.3.4"}, "1.2.3.4"},
		{{"6.6.6.6, 1.2.3.4"}, "1.2.3.4"},
		{{"6.6.6.6, 1.2.3.4, 10.0.0.2"}, "1.2.3.4"},
		{{"6.6.6.6,1.2.3.4,10.0.0.2 , fd00::3"}, "1.2.3.4"},
		{{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{{"6.6.6.6, nonsense, 10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{{"6.6.6.6, nonsense"}, "10.0.0.1"},
		{{"6.6.6.6, unknown, 10.0.0.2"}, "10.0.0.2"},
		{{"6.6.6.6", "1.2.3.4"}, "1.2.3.4"},
		{{"6.6.6.6", "1.2.3.4", "10.0.0.9"}, "1.2.3.4"},
		{{"1.2.3.4, , ,"}, "1.2.3.4"},
		{{"1.2.3.4:5678"}, "1.2.3.4"},
		{{"[2001:db8::1]:443"}, "2001:db8::1"},
		{{"for=1.2.3.4"}, "10.0.0.1"},
	};
	speak(MR_X_FORWARDED_FOR, said, MR_COUNT(said));
}

static void rule_28_forwarded_from_the_right(void **state)
{
	static const struct said said[] = {
		{{"for=1.2.3.4"}, "1.2.3.4"},
		{{"For=\"1.2.3.4\""}, "1.2.3.4"},
		{{"for=6.6.6.6, for=1.2.3.4;proto=https;by=10.0.0.2, for=10.0.0.2"}, "1.2.3.4"},
		{{"proto=https;for=\"[2001:db8:cafe::17]:4711\""}, "2001:db8:cafe::17"},
		{{"for=6.6.6.6, for=unknown"}, "10.0.0.1"},
		{{"for=6.6.6.6, for=_secret, for=10.0.0.2"}, "10.0.0.2"},
		{{"for=6.6.6.6, by=10.0.0.2"}, "10.0.0.1"},
		{{"for=6.6.6.6;for=7.7.7.7"}, "10.0.0.1"},
		{{"for=6.6.6.6, by=\"a,for=5.5.5.5\";for=1.2.3.4"}, "1.2.3.4"},
		{{"for=6.6.6.6, for=\"x, for=\"[2001:db8::1]\""}, "10.0.0.1"},
		{{"for=6.6.6.6, for=\"1.2.3.4"}, "10.0.0.1"},
		{{"for=\"x", "for=1.2.3.4"}, "1.2.3.4"},
		{{"for=6.6.6.6;x=\", for=1.2.3.4"}, "10.0.0.1"},
		{{"for=6.6.6.6;x=\", for=\"[2001:db8::1]\""}, "10.0.0.1"},
		{{"for=6.6.6.6;x=\"\\, for=1.2.3.4"}, "10.0.0.1"},
		{{"1.2.3.4"}, "10.0.0.1"},
	};
	speak(MR_FORWARDED, said, MR_COUNT(said));
}

static const char *scheme_of(enum mr_proxy_header header, const char *const *said)
{
	static const char *const names[] = {[MR_SCHEME_UNSAID] = "unsaid", [MR_SCHEME_HTTP] = "http", [MR_SCHEME_HTTPS] = "https"};
	struct mr_ip_ranges trusted;
	struct mr_error err;
	struct mr_str lines[3];
	size_t n = 0;
	assert_true(mr_ip_ranges_read(&trusted, MR_STR("10.0.0.0/8, fd00::/8"), &err));
	for (; n < 3 && said[n]; n++)
		lines[n] = mr_str(said[n]);
	enum mr_scheme scheme = mr_scheme_behind(&trusted, header, lines, n);
	mr_ip_ranges_fini(&trusted);
	return names[scheme];
}

static void rule_28_the_scheme_is_what_trusted_proxies_say(void **state)
{
	static const struct said proto[] = {
		{{NULL}, "unsaid"},
		{{""}, "unsaid"},
		{{"https"}, "https"},
		{{"HTTP"}, "http"},
		{{"https, http"}, "http"},
		{{"http", "https"}, "https"},
		{{"http, https, , "}, "https"},
		{{"https, wss"}, "unsaid"},
		{{"https,httpsx"}, "unsaid"},
		{{"http://"}, "unsaid"},
		{{"\"https\""}, "unsaid"},
		{{"proto=https"}, "unsaid"},
	};
	static const struct said forwarded[] = {
		{{NULL}, "unsaid"},
		{{"https"}, "unsaid"},
		{{"for=1.2.3.4;proto=https"}, "https"},
		{{"Proto=\"HTTPS\""}, "https"},
		{{"proto=https;proto=https;for=1.2.3.4"}, "unsaid"},
		{{"proto;for=1.2.3.4"}, "unsaid"},
		{{"proto=https", "proto=http;for=1.2.3.4"}, "http"},
		{{"for=6.6.6.6;proto=https, for=1.2.3.4;proto=http, for=10.0.0.2;proto=https"}, "http"},
		{{"for=6.6.6.6;proto=http, for=1.2.3.4;proto=https, for=10.0.0.2;proto=http", "for=\"[fd00::3]\";proto=http"}, "https"},
		{{"for=6.6.6.6;proto=https, for=1.2.3.4, for=10.0.0.2;proto=http"}, "unsaid"},
		{{"for=6.6.6.6;proto=https, for=unknown;proto=http"}, "http"},
		{{"proto=https;x=\", for=1.2.3.4;proto=http"}, "unsaid"},
		{{"for=10.0.0.3;proto=https, for=10.0.0.2;proto=http"}, "https"},
	};
	for (size_t i = 0; i < MR_COUNT(proto); i++)
		assert_string_equal(scheme_of(MR_X_FORWARDED_FOR, proto[i].lines), proto[i].means);
	for (size_t i = 0; i < MR_COUNT(forwarded); i++)
		assert_string_equal(scheme_of(MR_FORWARDED, forwarded[i].lines), forwarded[i].means);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(of_sockets),
		cmocka_unit_test(keys_are_of_what_one_subscriber_has),
		cmocka_unit_test(ranges),
		cmocka_unit_test(rule_28_x_forwarded_for_from_the_right),
		cmocka_unit_test(rule_28_forwarded_from_the_right),
		cmocka_unit_test(rule_28_the_scheme_is_what_trusted_proxies_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
