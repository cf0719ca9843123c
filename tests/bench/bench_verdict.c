/* What one verdict of the network rules costs, by the number of rules. Prints a table of processor
 * time per verdict; addresses are random, half of them inside a rule. Fails above the bounds. */
/* links: portolan_network */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/json/json.h"
#include "common/network/rules.h"

#define ADDRESSES 65536u
#define VERDICTS  4000000u

static const struct {
    uint32_t rules;
    double bound_ns;
} runs[] = { { 1, 150 }, { 200, 150 }, { 10000, 400 }, { 100000, 400 } };

static uint32_t next_random(void)
{
    static uint64_t seed = 88172645463325252u;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static int64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static struct network_rules *make_rules(struct arena *a, const uint32_t *bases, uint32_t count)
{
    struct json_object *settings = json_own(a, json_new_object()), *list = json_new_array();

    for (uint32_t i = 0; i < count; i++) {
        struct json_object *rule = json_new_object();
        json_set_text(rule, "value",
                      arena_printf(a, "%u.%u.%u.0/24", bases[i] >> 24, bases[i] >> 16 & 255,
                                   bases[i] >> 8 & 255));
        json_add(list, rule);
    }
    json_put_at(settings, "networkRuleSet.defaultAction", json_new_text("Deny"));
    json_put_at(settings, "networkRuleSet.ipRules", list);
    return network_rules_new(settings);
}

static double run(uint32_t count, double bound_ns)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    uint32_t *bases = arena_array(a, count, sizeof(*bases)), allowed = 0;
    struct sockaddr_in *at = arena_array(a, ADDRESSES, sizeof(*at));

    for (uint32_t i = 0; i < count; i++)
        bases[i] = next_random();
    _cleanup_(network_rules_freep) struct network_rules *rules = make_rules(a, bases, count);
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        uint32_t inside = (bases[next_random() % count] & ~255u) | (next_random() & 255u);
        at[i].sin_family = AF_INET;
        at[i].sin_addr.s_addr = htonl(i % 2 ? inside : next_random());
    }
    int64_t start = cpu_ns();
    for (uint32_t i = 0; i < VERDICTS; i++) {
        struct network_origin origin = { .address = (const struct sockaddr *)&at[i % ADDRESSES] };
        allowed += network_decide(rules, &origin).is_allowed;
    }
    double ns = (double)(cpu_ns() - start) / VERDICTS;
    (void)printf("%8u rules  %7.1f ns a verdict  (%u of %u allowed), bound %.0f ns\n", count, ns,
                 allowed, VERDICTS, bound_ns);
    return ns;
}

int main(void)
{
    int status = 0;

    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        if (run(runs[i].rules, runs[i].bound_ns) > runs[i].bound_ns)
            status = 1;
    }
    return status;
}
