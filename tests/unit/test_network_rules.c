/* Network rules: a table of verdicts, and random rule sets against a matcher too plain to be wrong.
 */
/* links: portolan_network */
#include "common/network/rules.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/address.h"
#include "common/network/ranges.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

#define SUBNET                                                                                     \
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/a"

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage s;

    if (!address_parse(text, &s))
        s.ss_family = AF_UNIX;
    return s;
}

static struct network_rules *rules_of(const char *text)
{
    _cleanup_(json_putp) struct json_object *settings = NULL;
    struct error err = { 0 };

    assert_int_equal(json_parse(text, strlen(text), 1 << 20, JSON_STRICT, &settings, &err), 0);
    return network_rules_new(settings);
}

#define DENY(rules) "{\"networkRuleSet\":{\"defaultAction\":\"Deny\"," rules "}}"
#define IPS                                                                                        \
    DENY("\"ipRules\":[{\"value\":\"10.0.0.0/8\"},{\"value\":\"10.1.0.0/16\"},"                    \
         "{\"value\":\"10.1.0.0/16\"},{\"value\":\"192.0.2.7\"},{\"value\":\"nonsense\"},"         \
         "{\"value\":\"255.255.255.255\"},{\"value\":\"2001:db8::/32\"}]")
#define SUBNETS                                                                                    \
    DENY("\"ipRules\":[{\"value\":\"10.0.0.0/8\"}],\"virtualNetworkRules\":[{\"id\":\"" SUBNET     \
         "\"}]")
#define CLOSED                                                                                     \
    "{\"publicNetworkAccess\":\"Disabled\",\"privateLinks\":[\"link-1\",\"link-2\"],"              \
    "\"networkRuleSet\":{\"defaultAction\":\"Allow\",\"ipRules\":[{\"value\":\"10.0.0.0/8\"}],"    \
    "\"virtualNetworkRules\":[{\"id\":\"" SUBNET "\"}]},\"networkRuleBypassOptions\":"

#define LINK "0b8f2a54-5b0c-4a51-9a3a-0d8a2c8f6c11"
#define OTHER_LINK "0b8f2a54-5b0c-4a51-9a3a-0d8a2c8f6c12"
#define ENDPOINT "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/privateEndpoints/e"
#define LINKED                                                                                     \
    "{\"privateLinks\":[{\"id\":\"" ENDPOINT "\",\"identity\":\"" LINK "\"}],"                         \
    "\"networkRuleSet\":{\"defaultAction\":\"Deny\",\"ipRules\":[{\"value\":\"10.0.0.0/8\"}],"          \
    "\"virtualNetworkRules\":[{\"id\":\"" SUBNET "\",\"identity\":\"subnet:1\"}]},"                    \
    "\"publicNetworkAccess\":"

static const struct {
    const char *settings, *address, *link;
    enum network_service service;
    bool is_allowed;
    enum network_reason reason;
    const char *rule;
} cases[] = {
    { "{}", "198.51.100.1", NULL, 0, true, NETWORK_BY_DEFAULT, NULL },
    { "{}", "2001:db8::1", "any", 0, true, NETWORK_BY_DEFAULT, NULL },
    { IPS, "10.0.0.0", NULL, 0, true, NETWORK_BY_IP_RULE, "10.0.0.0/8" },
    { IPS, "10.255.255.255", NULL, 0, true, NETWORK_BY_IP_RULE, "10.0.0.0/8" },
    { IPS, "10.0.255.255", NULL, 0, true, NETWORK_BY_IP_RULE, "10.0.0.0/8" },
    { IPS, "10.1.0.0", NULL, 0, true, NETWORK_BY_IP_RULE, "10.1.0.0/16" },
    { IPS, "10.1.255.255", NULL, 0, true, NETWORK_BY_IP_RULE, "10.1.0.0/16" },
    { IPS, "10.2.0.0", NULL, 0, true, NETWORK_BY_IP_RULE, "10.0.0.0/8" },
    { IPS, "9.255.255.255", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "11.0.0.0", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "0.0.0.0", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "192.0.2.6", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "192.0.2.7", NULL, 0, true, NETWORK_BY_IP_RULE, "192.0.2.7" },
    { IPS, "192.0.2.8", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "255.255.255.254", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "255.255.255.255", NULL, 0, true, NETWORK_BY_IP_RULE, "255.255.255.255" },
    { IPS, "::ffff:192.0.2.7", NULL, 0, true, NETWORK_BY_IP_RULE, "192.0.2.7" },
    { IPS, "::ffff:192.0.2.8", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "::192.0.2.7", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "2001:db8:ffff::1", NULL, 0, true, NETWORK_BY_IP_RULE, "2001:db8::/32" },
    { IPS, "2001:db9::", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    { IPS, "a unix socket", NULL, 0, false, NETWORK_BY_DEFAULT, NULL },
    /* What came by a link is judged by the link, whatever its address. */
    { SUBNETS, "10.0.0.1", NULL, 0, true, NETWORK_BY_IP_RULE, "10.0.0.0/8" },
    { SUBNETS, "10.0.0.1", "elsewhere", 0, false, NETWORK_BY_DEFAULT, NULL },
    { SUBNETS, "10.0.0.1", SUBNET, 0, true, NETWORK_BY_SUBNET_RULE, SUBNET },
    { SUBNETS, "172.16.0.1",
      "/SUBSCRIPTIONS/S/resourcegroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/A",
      0, true, NETWORK_BY_SUBNET_RULE, SUBNET },
    { SUBNETS, "172.16.0.1", SUBNET "b", 0, false, NETWORK_BY_DEFAULT, NULL },
    /* publicNetworkAccess overrides every public rule, not private links and services. */
    { CLOSED "\"None\"}", "10.0.0.1", NULL, 0, false, NETWORK_BY_PUBLIC_ACCESS, NULL },
    { CLOSED "\"None\"}", "10.0.0.1", SUBNET, 0, false, NETWORK_BY_PUBLIC_ACCESS, NULL },
    { CLOSED "\"None\"}", "10.0.0.1", "LINK-2", 0, true, NETWORK_BY_PRIVATE_LINK, "link-2" },
    { CLOSED "\"None\"}", "10.0.0.1", "link-3", 0, false, NETWORK_BY_PUBLIC_ACCESS, NULL },
    { CLOSED "\"None\"}", "10.0.0.1", NULL, NETWORK_TRUSTED, false, NETWORK_BY_PUBLIC_ACCESS,
      NULL },
    { CLOSED "\"AzureServices\"}", "10.0.0.1", NULL, NETWORK_TRUSTED, true, NETWORK_BY_BYPASS,
      NULL },
    /* Tasks are no trusted services; they have a switch of their own. */
    { CLOSED "\"AzureServices\"}", "10.0.0.1", NULL, NETWORK_TASK, false, NETWORK_BY_PUBLIC_ACCESS,
      NULL },
    { CLOSED "\"None\",\"networkRuleBypassAllowedForTasks\":true}", "10.0.0.1", NULL, NETWORK_TASK,
      true, NETWORK_BY_BYPASS, NULL },
    /* Those who come by an attached network bring an identity. A private link is good for what it was
     * approved for, and lets nobody in elsewhere. */
    { LINKED "\"Disabled\"}", "10.0.0.1", LINK, 0, true, NETWORK_BY_PRIVATE_LINK, ENDPOINT },
    { LINKED "\"Disabled\"}", "10.0.0.1", ENDPOINT, 0, true, NETWORK_BY_PRIVATE_LINK, ENDPOINT },
    { LINKED "\"Enabled\"}", "10.0.0.1", "subnet:1", 0, true, NETWORK_BY_SUBNET_RULE, SUBNET },
    { LINKED "\"Enabled\"}", "10.0.0.1", "subnet:2", 0, false, NETWORK_BY_DEFAULT, NULL },
    { LINKED "\"Enabled\"}", "10.0.0.1", OTHER_LINK, 0, false, NETWORK_BY_PRIVATE_LINK, NULL },
    { LINKED "\"Enabled\"}", "10.0.0.1", ENDPOINT "b", 0, false, NETWORK_BY_PRIVATE_LINK, NULL },
    { "{}", "10.0.0.1", OTHER_LINK, 0, false, NETWORK_BY_PRIVATE_LINK, NULL },
    { "{}", "10.0.0.1", OTHER_LINK, NETWORK_TRUSTED, false, NETWORK_BY_PRIVATE_LINK, NULL },
    { "{}", "10.0.0.1", "subnet:2", 0, true, NETWORK_BY_DEFAULT, NULL },
    /* What cannot be understood admits nobody. */
    { "{\"publicNetworkAccess\":\"Sometimes\"}", "10.0.0.1", NULL, 0, false,
      NETWORK_BY_PUBLIC_ACCESS, NULL },
    { "{\"publicNetworkAccess\":7}", "10.0.0.1", NULL, 0, false, NETWORK_BY_PUBLIC_ACCESS, NULL },
    { "{\"networkRuleSet\":{\"defaultAction\":\"Maybe\",\"ipRules\":3}}", "10.0.0.1", NULL, 0,
      false, NETWORK_BY_DEFAULT, NULL },
};

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct network_rules *r = rules_of(cases[i].settings);
        struct sockaddr_storage address = address_of(cases[i].address);
        struct network_verdict v =
            network_decide(r, &(struct network_origin){ (const struct sockaddr *)&address,
                                                        cases[i].link, cases[i].service });
        if (v.is_allowed != cases[i].is_allowed || v.reason != cases[i].reason ||
            !text_eq(v.rule, cases[i].rule))
            fail_msg("case %zu (%s by %s): %d %s %s", i, cases[i].address, cases[i].link,
                     v.is_allowed, network_reason_name(v.reason), v.rule);
        network_rules_free(r);
    }
    network_rules_free(NULL);
    ranges_free(NULL);
}

static void every_address_without_ip_is_unmatched(void **state)
{
    struct network_rules *r = rules_of(IPS);

    (void)state;
    assert_false(network_decide(r, &(struct network_origin){ 0 }).is_allowed);
    network_rules_free(r);
}

/* --- random sets ------------------------------------------------------------------------------ */

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32);
}

/* Few distinct bits, so that blocks nest, touch and repeat. */
static void random_bytes_of(uint8_t *bytes, size_t len)
{
    static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };

    for (size_t i = 0; i < len; i++)
        bytes[i] = values[next_random() % (i < len - 2 ? 2 : ARRAY_LEN(values))];
}

static struct cidr random_block(void)
{
    char text[INET6_ADDRSTRLEN + 8], address[INET6_ADDRSTRLEN];
    bool is_v4 = next_random() % 2;
    uint8_t bytes[16] = { 0 };
    struct cidr c;

    random_bytes_of(bytes, is_v4 ? 4 : 16);
    assert_non_null(inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, address, sizeof(address)));
    (void)snprintf(text, sizeof(text), "%s/%u", address, next_random() % (is_v4 ? 33 : 129));
    assert_true(cidr_parse(text, &c));
    return c;
}

static struct sockaddr_storage random_address(void)
{
    struct sockaddr_storage s = { 0 };
    uint32_t form = next_random() % 3;

    if (form == 0) {
        struct sockaddr_in *in = (struct sockaddr_in *)&s;
        s.ss_family = AF_INET;
        random_bytes_of((uint8_t *)&in->sin_addr, 4);
        return s;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&s;
    s.ss_family = AF_INET6;
    random_bytes_of(in6->sin6_addr.s6_addr, 16);
    if (form == 1) {
        memset(in6->sin6_addr.s6_addr, 0, 10);
        memset(in6->sin6_addr.s6_addr + 10, 0xff, 2);
    }
    return s;
}

static uint32_t find_naively(const struct cidr *blocks, uint32_t count, const struct sockaddr *at)
{
    uint32_t best = RANGES_NONE;

    for (uint32_t i = 0; i < count; i++) {
        if (cidr_contains(&blocks[i], at) &&
            (best == RANGES_NONE || blocks[i].bits > blocks[best].bits))
            best = i;
    }
    return best;
}

static void ranges_agree_with_the_naive_matcher(void **state)
{
    struct cidr blocks[300];

    (void)state;
    for (int round = 0; round < 2000; round++) {
        uint32_t count = next_random() % (round % 10 == 0 ? 300 : 12);
        for (uint32_t i = 0; i < count; i++)
            blocks[i] = random_block();
        struct ranges *r = ranges_new(blocks, count);
        for (int i = 0; i < 200; i++) {
            struct sockaddr_storage s = random_address();
            const struct sockaddr *at = (const struct sockaddr *)&s;
            assert_int_equal(ranges_find(r, at), find_naively(blocks, count, at));
        }
        ranges_free(r);
    }
}

/* Sets so large that they are found by the index. */
static void large_sets_agree_too(void **state)
{
    enum { COUNT = 5000 };
    struct cidr *blocks = calloc(COUNT, sizeof(*blocks));

    (void)state;
    assert_non_null(blocks);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t base = next_random() & (i % 2 ? 0x00ffffff : 0xffffffff);
        char text[32];
        (void)snprintf(text, sizeof(text), "%u.%u.%u.%u/%u", base >> 24, base >> 16 & 255,
                       base >> 8 & 255, base & 255, i == 0 ? 0 : 12 + next_random() % 21);
        assert_true(cidr_parse(text, &blocks[i]));
    }
    struct ranges *r = ranges_new(blocks, COUNT);
    for (uint32_t i = 0; i < 20000; i++) {
        struct sockaddr_in in = { .sin_family = AF_INET };
        const uint8_t *near = blocks[next_random() % COUNT].bytes;
        memcpy(&in.sin_addr, near, 4);
        in.sin_addr.s_addr = htonl(ntohl(in.sin_addr.s_addr) + next_random() % 3 - 1);
        const struct sockaddr *at = (const struct sockaddr *)&in;
        assert_int_equal(ranges_find(r, at), find_naively(blocks, COUNT, at));
    }
    ranges_free(r);
    free(blocks);
}

/* --- random settings -------------------------------------------------------------------------- */

#define NAMES 6 /* subnets and links there are in the world; each registry names some of them */

/* What a registry's settings say, as the plain matcher reads it. */
struct wish {
    bool is_public, is_allow, may_services, may_tasks;
    bool has_subnet[NAMES], has_link[NAMES];
    struct cidr blocks[8];
    char texts[8][64];
    uint32_t count;
};

static const char *subnet_name(struct arena *a, uint32_t i)
{
    return arena_printf(a, "subnet:%u", i);
}

static const char *link_name(struct arena *a, uint32_t i)
{
    return arena_printf(a, "0b8f2a54-5b0c-4a51-9a3a-%012u", i);
}

static struct wish random_wish(void)
{
    struct wish w = { .is_public = next_random() % 4 != 0,
                      .is_allow = next_random() % 3 == 0,
                      .may_services = next_random() % 2,
                      .may_tasks = next_random() % 2,
                      .count = next_random() % 8 };

    for (uint32_t i = 0; i < w.count; i++) {
        char head[INET6_ADDRSTRLEN];

        w.blocks[i] = random_block();
        assert_non_null(inet_ntop(w.blocks[i].family, w.blocks[i].bytes, head, sizeof(head)));
        (void)snprintf(w.texts[i], sizeof(w.texts[i]), "%s/%u", head, w.blocks[i].bits);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        w.has_subnet[i] = next_random() % 2;
        w.has_link[i] = next_random() % 2;
    }
    return w;
}

/* A list of {id, identity}; what is shown as the rule is the id. */
static struct json_object *origins(struct arena *a, const bool *has,
                                   const char *(*name)(struct arena *a, uint32_t i))
{
    struct json_object *list = json_new_array();

    for (uint32_t i = 0; i < NAMES; i++) {
        struct json_object *one = json_new_object();

        json_set_text(one, "id", arena_printf(a, "/id/of/%s", name(a, i)));
        json_set_text(one, "identity", name(a, i));
        if (has[i])
            json_add(list, one);
        else
            json_put(one);
    }
    return list;
}

static struct network_rules *rules_of_wish(struct arena *a, const struct wish *w)
{
    struct json_object *s = json_own(a, json_new_object()), *ips = json_new_array();

    for (uint32_t i = 0; i < w->count; i++) {
        struct json_object *rule = json_new_object();

        json_set_text(rule, "value", w->texts[i]);
        json_add(ips, rule);
    }
    json_set_text(s, "publicNetworkAccess", w->is_public ? "Enabled" : "Disabled");
    json_put_at(s, "networkRuleSet.defaultAction", json_new_text(w->is_allow ? "Allow" : "Deny"));
    json_put_at(s, "networkRuleSet.ipRules", ips);
    json_put_at(s, "networkRuleSet.virtualNetworkRules", origins(a, w->has_subnet, subnet_name));
    json_set(s, "privateLinks", origins(a, w->has_link, link_name));
    json_set_text(s, "networkRuleBypassOptions", w->may_services ? "AzureServices" : "None");
    json_set(s, "networkRuleBypassAllowedForTasks", json_new_bool(w->may_tasks));
    return network_rules_new(s);
}

/* Sentence by sentence what docs/network.md says. */
static struct network_verdict decide_naively(struct arena *a, const struct wish *w,
                                             const struct sockaddr *at, int subnet, int link,
                                             enum network_service service)
{
    uint32_t rule;

    if (link >= 0)
        return (struct network_verdict){ w->has_link[link], NETWORK_BY_PRIVATE_LINK,
                                         w->has_link[link]
                                             ? arena_printf(a, "/id/of/%s",
                                                            link_name(a, (uint32_t)link))
                                             : NULL };
    if ((service == NETWORK_TRUSTED && w->may_services) ||
        (service == NETWORK_TASK && w->may_tasks))
        return (struct network_verdict){ true, NETWORK_BY_BYPASS, NULL };
    if (!w->is_public)
        return (struct network_verdict){ false, NETWORK_BY_PUBLIC_ACCESS, NULL };
    if (w->is_allow)
        return (struct network_verdict){ true, NETWORK_BY_DEFAULT, NULL };
    if (subnet >= 0 && w->has_subnet[subnet])
        return (struct network_verdict){ true, NETWORK_BY_SUBNET_RULE,
                                         arena_printf(a, "/id/of/%s",
                                                      subnet_name(a, (uint32_t)subnet)) };
    rule = subnet >= 0 ? RANGES_NONE : find_naively(w->blocks, w->count, at);
    if (rule == RANGES_NONE)
        return (struct network_verdict){ false, NETWORK_BY_DEFAULT, NULL };
    return (struct network_verdict){ true, NETWORK_BY_IP_RULE, w->texts[rule] };
}

static void whole_verdicts_agree_with_the_naive_matcher(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct wish w = random_wish();
        struct network_rules *r = rules_of_wish(a, &w);

        for (int i = 0; i < 60; i++) {
            struct sockaddr_storage s = random_address();
            const struct sockaddr *at = (const struct sockaddr *)&s;
            uint32_t way = next_random() % 3, which = next_random() % NAMES;
            enum network_service service = next_random() % NETWORK_SERVICE_MAX;
            const char *by = way == 0   ? NULL
                             : way == 1 ? subnet_name(a, which)
                                        : link_name(a, which);
            struct network_verdict v =
                network_decide(r, &(struct network_origin){ at, by, service });
            struct network_verdict want = decide_naively(a, &w, at, way == 1 ? (int)which : -1,
                                                         way == 2 ? (int)which : -1, service);

            if (v.is_allowed != want.is_allowed || v.reason != want.reason ||
                !text_eq(v.rule, want.rule))
                fail_msg("round %d: by %s: %d %s %s, not %d %s %s", round, by, v.is_allowed,
                         network_reason_name(v.reason), v.rule, want.is_allowed,
                         network_reason_name(want.reason), want.rule);
        }
        network_rules_free(r);
        arena_reset(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(every_address_without_ip_is_unmatched),
        cmocka_unit_test(ranges_agree_with_the_naive_matcher),
        cmocka_unit_test(large_sets_agree_too),
        cmocka_unit_test(whole_verdicts_agree_with_the_naive_matcher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
