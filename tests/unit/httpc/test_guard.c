/* The address guard as a table: which numbers may be called, which never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/httpc.h>

#define MIN_ADDRESSES 60

static const struct row {
    const char *address;
    bool allowed;
} ROWS[] = {
    /* IPv4: each special block at its first and last address, and just outside */
    {"0.0.0.0", false},
    {"0.255.255.255", false},
    {"1.0.0.0", true},
    {"9.255.255.255", true},
    {"10.0.0.0", false},
    {"10.255.255.255", false},
    {"11.0.0.0", true},
    {"100.63.255.255", true},
    {"100.64.0.0", false},
    {"100.100.100.200", false},
    {"100.127.255.255", false},
    {"100.128.0.0", true},
    {"126.255.255.255", true},
    {"127.0.0.1", false},
    {"127.255.255.255", false},
    {"128.0.0.0", true},
    {"168.63.129.15", true},
    {"168.63.129.16", false},
    {"169.253.255.255", true},
    {"169.254.0.0", false},
    {"169.254.169.254", false},
    {"169.254.170.2", false},
    {"169.254.170.23", false},
    {"169.255.0.0", true},
    {"172.15.255.255", true},
    {"172.16.0.0", false},
    {"172.31.255.255", false},
    {"172.32.0.0", true},
    {"192.0.0.192", false},
    {"192.0.1.1", true},
    {"192.0.2.1", false},
    {"192.88.99.1", false},
    {"192.167.255.255", true},
    {"192.168.0.0", false},
    {"192.168.255.255", false},
    {"192.169.0.0", true},
    {"198.17.255.255", true},
    {"198.18.0.0", false},
    {"198.19.255.255", false},
    {"198.20.0.0", true},
    {"198.51.100.7", false},
    {"203.0.113.7", false},
    {"203.0.114.1", true},
    {"223.255.255.255", true},
    {"224.0.0.1", false},
    {"239.255.255.255", false},
    {"240.0.0.1", false},
    {"255.255.255.255", false},
    {"8.8.8.8", true},
    {"52.94.76.1", true},
    /* IPv6 */
    {"::", false},
    {"::1", false},
    {"::2", false},
    {"::127.0.0.1", false},
    {"::8.8.8.8", false},
    {"::ffff:127.0.0.1", false},
    {"::ffff:10.1.2.3", false},
    {"::ffff:169.254.169.254", false},
    {"::ffff:8.8.8.8", true},
    {"64:ff9b::7f00:1", false},
    {"64:ff9b::808:808", false},
    {"64:ff9b:1::1", false},
    {"100::1", false},
    {"2001::1", false},
    {"2001:0:53aa:64c:0:7ffe:80ff:fffe", false},
    {"2001:2::1", false},
    {"2001:20::1", false},
    {"2001:db8::1", false},
    {"2001:dba::1", true},
    {"2001:4860:4860::8888", true},
    {"2002:7f00:1::", false},
    {"2002:808:808::1", false},
    {"2003::1", true},
    {"2600:1f18::1", true},
    {"2a00:1450:4001::1", true},
    {"3fff::1", false},
    {"3fff:fff:ffff::1", false},
    {"4000::1", false},
    {"5f00::1", false},
    {"fc00::1", false},
    {"fd00:ec2::23", false},
    {"fd00:ec2::254", false},
    {"fdff:ffff::1", false},
    {"fe80::1", false},
    {"fec0::1", false},
    {"ff02::1", false},
    {"ffff::1", false},
};

static struct sockaddr_storage address(const char *s)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(443)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};

    if (inet_pton(AF_INET, s, &in.sin_addr) == 1) {
        memcpy(&sa, &in, sizeof(in));
    } else {
        assert_int_equal(inet_pton(AF_INET6, s, &in6.sin6_addr), 1);
        memcpy(&sa, &in6, sizeof(in6));
    }
    return sa;
}

static bool allowed(const char *s, const struct rb_netlist *list)
{
    struct sockaddr_storage sa = address(s);

    return rb_address_allowed((const struct sockaddr *)&sa, list);
}

static struct rb_netlist *list_of(const char *const *items, unsigned n)
{
    const char *copy[16];
    struct rb_netlist *l = NULL;
    struct rb_err err;

    assert_in_range(n, 0, 16);
    for (unsigned i = 0; i < n; i++) {
        copy[i] = items[i];
    }
    struct rb_strings s = {.items = copy, .n = n};
    assert_int_equal(rb_netlist_parse(&s, &l, &err), RB_OK);
    return l;
}

static void each_address_is_judged_as_the_table_says(void **state)
{
    (void)state;
    assert_true(RB_ARRAY_LEN(ROWS) >= MIN_ADDRESSES);
    for (size_t i = 0; i < RB_ARRAY_LEN(ROWS); i++) {
        if (allowed(ROWS[i].address, NULL) != ROWS[i].allowed) {
            fail_msg("%s", ROWS[i].address);
        }
    }
}

static void listed_ranges_are_allowed_and_nothing_beside_them(void **state)
{
    static const char *const items[] = {"10.20.0.0/16", "127.0.0.1", "192.168.1.128/25",
                                        "fd00:1234::/32", "::1"};
    struct rb_netlist *l = list_of(items, RB_ARRAY_LEN(items));

    (void)state;
    assert_true(allowed("10.20.0.0", l));
    assert_true(allowed("10.20.255.255", l));
    assert_false(allowed("10.21.0.0", l));
    assert_false(allowed("10.19.255.255", l));
    assert_true(allowed("127.0.0.1", l));
    assert_false(allowed("127.0.0.2", l));
    assert_true(allowed("192.168.1.128", l));
    assert_false(allowed("192.168.1.127", l));
    assert_true(allowed("fd00:1234:ffff::1", l));
    assert_false(allowed("fd00:1235::1", l));
    assert_true(allowed("::1", l));
    assert_true(allowed("::ffff:127.0.0.1", l));
    assert_false(allowed("::ffff:127.0.0.2", l));
    assert_false(allowed("64:ff9b::7f00:1", l));
    rb_netlist_free(l);
}

static void a_range_of_everything_is_what_it_says(void **state)
{
    static const char *const items[] = {"0.0.0.0/0"};
    struct rb_netlist *l = list_of(items, 1);

    (void)state;
    assert_true(allowed("127.0.0.1", l));
    assert_true(allowed("255.255.255.255", l));
    assert_false(allowed("::1", l));
    rb_netlist_free(l);
}

static void bad_ranges_are_named(void **state)
{
    static const char *const bad[] = {
        "",           "10.0.0.0/33",    "10.0.0.0/",   "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0/8",
        "::1/129",    "localhost",      "10.0.0.0/ 8", "1.2.3.4.5",   "fe80::1%lo",  "/8",
        "0x7f.0.0.1", "10.0.0.0-10/24", "0177.0.0.1",  "[::1]",
    };

    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        const char *items[] = {"10.0.0.0/8", bad[i]};
        struct rb_strings s = {.items = items, .n = 2};
        struct rb_netlist *l = NULL;
        struct rb_err err;
        assert_int_equal(rb_netlist_parse(&s, &l, &err), RB_E_INVALID);
        assert_non_null(strstr(err.msg, bad[i]));
        assert_null(l);
    }
}

static void other_address_families_are_refused(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr sa;

    (void)state;
    memcpy(&sa, &un, sizeof(sa));
    assert_false(rb_address_allowed(&sa, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_is_judged_as_the_table_says),
        cmocka_unit_test(listed_ranges_are_allowed_and_nothing_beside_them),
        cmocka_unit_test(a_range_of_everything_is_what_it_says),
        cmocka_unit_test(bad_ranges_are_named),
        cmocka_unit_test(other_address_families_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
