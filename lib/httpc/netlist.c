/* The address guard by itself: which numeric addresses outbound calls may reach.
 *
 * IPv4: two tables of special-purpose blocks (IANA registries) are refused, the rest is public.
 * IPv6: only global unicast 2000::/3 is public, without the blocks inside it that are special or
 * that carry an IPv4 address (6to4, Teredo). An IPv4-mapped address is IPv4 on the wire and is
 * judged so. What the operator listed is allowed before any of this.
 */
#include <retrybuild/httpc.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "guard.h"

#define CIDRS_MAX 256

struct cidr {
    bool v6;
    unsigned bits;
    uint8_t addr[16]; /* IPv4: the first four bytes */
};

struct rb_netlist {
    unsigned n;
    struct cidr items[];
};

static bool cidr_has(const struct cidr *c, bool v6, const uint8_t *addr)
{
    unsigned whole = c->bits / 8, rest = c->bits % 8;

    if (c->v6 != v6 || memcmp(c->addr, addr, whole) != 0) {
        return false;
    }
    uint8_t mask = (uint8_t)(0xff00U >> rest);
    return rest == 0 || ((c->addr[whole] ^ addr[whole]) & mask) == 0;
}

static bool parse_address(const char *s, bool *ret_v6, uint8_t ret_addr[16])
{
    if (inet_pton(AF_INET, s, ret_addr) == 1) {
        *ret_v6 = false;
        return true;
    }
    *ret_v6 = true;
    return inet_pton(AF_INET6, s, ret_addr) == 1;
}

static bool parse_cidr(const char *s, struct cidr *ret_c)
{
    struct cidr c = {.v6 = false};
    char text[INET6_ADDRSTRLEN];
    const char *slash = strchr(s, '/');
    size_t len = slash == NULL ? strlen(s) : (size_t)(slash - s);
    uint64_t bits = 0;

    if (len == 0 || len >= sizeof(text)) {
        return false;
    }
    memcpy(text, s, len);
    text[len] = '\0';
    if (!parse_address(text, &c.v6, c.addr)) {
        return false;
    }
    unsigned max = c.v6 ? 128 : 32;
    bits = max;
    if (slash != NULL && (!rb_parse_u64(rb_slice_str(slash + 1), &bits) || bits > max)) {
        return false;
    }
    c.bits = (unsigned)bits;
    *ret_c = c;
    return true;
}

enum rb_code rb_netlist_parse(const struct rb_strings *cidrs, struct rb_netlist **ret_l,
                              struct rb_err *err)
{
    unsigned n = cidrs == NULL ? 0 : cidrs->n;
    RB_CLEANUP(rb_freep) struct rb_netlist *l = NULL;

    if (n > CIDRS_MAX) {
        return rb_err_set(err, RB_E_TOO_LARGE, "over %d address ranges", CIDRS_MAX);
    }
    l = calloc(1, sizeof(*l) + n * sizeof(l->items[0]));
    if (l == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the address ranges");
    }
    for (unsigned i = 0; i < n; i++) {
        if (!parse_cidr(cidrs->items[i], &l->items[i])) {
            return rb_err_set(err, RB_E_INVALID, "'%s' is not an address or range like 10.0.0.0/8",
                              cidrs->items[i]);
        }
    }
    l->n = n;
    *ret_l = RB_TAKE(l);
    return RB_OK;
}

void rb_netlist_free(struct rb_netlist *l)
{
    free(l);
}

static bool listed(const struct rb_netlist *l, bool v6, const uint8_t *addr)
{
    for (unsigned i = 0; l != NULL && i < l->n; i++) {
        if (cidr_has(&l->items[i], v6, addr)) {
            return true;
        }
    }
    return false;
}

static const struct cidr REFUSED_V4[] = {
    {false, 8, {0}},                 /* "this network" */
    {false, 8, {10}},                /* private */
    {false, 10, {100, 64}},          /* carrier-grade NAT; 100.100.100.200 is metadata */
    {false, 8, {127}},               /* loopback */
    {false, 16, {169, 254}},         /* link-local; instance and task metadata */
    {false, 12, {172, 16}},          /* private */
    {false, 24, {192, 0, 0}},        /* protocol assignments; 192.0.0.192 is metadata */
    {false, 24, {192, 0, 2}},        /* documentation */
    {false, 24, {192, 88, 99}},      /* 6to4 relays */
    {false, 16, {192, 168}},         /* private */
    {false, 15, {198, 18}},          /* benchmarking */
    {false, 24, {198, 51, 100}},     /* documentation */
    {false, 24, {203, 0, 113}},      /* documentation */
    {false, 32, {168, 63, 129, 16}}, /* a cloud's host agent on a public number */
    {false, 4, {224}},               /* multicast */
    {false, 4, {240}},               /* class E and broadcast */
};

static const struct cidr PUBLIC_V6 = {true, 3, {0x20}};

static const struct cidr REFUSED_V6[] = {
    {true, 23, {0x20, 0x01}},             /* protocol assignments: Teredo, benchmarking, ORCHID */
    {true, 32, {0x20, 0x01, 0x0d, 0xb8}}, /* documentation */
    {true, 16, {0x20, 0x02}},             /* 6to4 */
    {true, 20, {0x3f, 0xff}},             /* documentation */
};

static bool public_v4(const uint8_t *addr)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(REFUSED_V4); i++) {
        if (cidr_has(&REFUSED_V4[i], false, addr)) {
            return false;
        }
    }
    return true;
}

static bool public_v6(const uint8_t *addr)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(REFUSED_V6); i++) {
        if (cidr_has(&REFUSED_V6[i], true, addr)) {
            return false;
        }
    }
    return cidr_has(&PUBLIC_V6, true, addr);
}

/* The bytes of @sa; a mapped IPv4 address comes out as IPv4. False for other families. */
static bool address_of(const struct sockaddr *sa, bool *ret_v6, uint8_t ret_addr[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        memcpy(ret_addr, &in.sin_addr, 4);
        *ret_v6 = false;
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        *ret_v6 = memcmp(&in6.sin6_addr, mapped, sizeof(mapped)) != 0;
        memcpy(ret_addr, in6.sin6_addr.s6_addr + (*ret_v6 ? 0 : 12), *ret_v6 ? 16 : 4);
        return true;
    }
    return false;
}

bool rb_address_listed(const struct sockaddr *sa, const struct rb_netlist *allow)
{
    uint8_t addr[16];
    bool v6 = false;

    return address_of(sa, &v6, addr) && listed(allow, v6, addr);
}

bool rb_address_allowed(const struct sockaddr *sa, const struct rb_netlist *allow)
{
    uint8_t addr[16];
    bool v6 = false;

    if (!address_of(sa, &v6, addr)) {
        return false;
    }
    return listed(allow, v6, addr) || (v6 ? public_v6(addr) : public_v4(addr));
}
