/* The numbers of the template engine: expanding a 1 MB template of 800 resources with copy loops
 * (goal: at most 50 ms and 64 MiB), and simple function calls (goal: at least 1,000,000 a second).
 */
/* links: portolan_templates portolan_base portolan_json */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/json/json.h"
#include "templates/language/template.h"

#define LOOPS                10
#define PER_LOOP             40
#define PLAIN                400
#define ROUNDS               20
#define CALLS_PER_EXPRESSION 10000

static const struct template_context context = {
    .scope = SCOPE_RESOURCE_GROUP,
    .tenant_id = "22222222-2222-2222-2222-222222222222",
    .subscription_id = "00000000-0000-0000-0000-000000000000",
    .resource_group = "bench",
    .resource_group_location = "eastus",
    .deployment_name = "bench",
    .seed = "bench",
};

static void put_loop(struct str *s, int i)
{
    str_printf(s,
               "{\"type\":\"Microsoft.ContainerRegistry/registries/scopeMaps\","
               "\"apiVersion\":\"2023-07-01\",\"name\":\"[format('{0}/map%d-{1}', "
               "variables('name'), copyIndex())]\",\"copy\":{\"name\":\"loop%d\",\"count\":%d},"
               "\"properties\":{\"description\":\"[concat('map ', string(copyIndex('loop%d')),"
               "' of ', parameters('prefix'))]\",\"copy\":[{\"name\":\"actions\",\"count\":3,"
               "\"input\":\"[format('repositories/app{0}-{1}/content/read', copyIndex(), "
               "copyIndex('actions'))]\"}]}}",
               i, i, PER_LOOP, i);
}

/* About 2.3 KB: some expressions, a dependency, and text. */
static void put_plain(struct str *s, int i)
{
    str_printf(s,
               ",{\"type\":\"Microsoft.ContainerRegistry/registries/webhooks\","
               "\"apiVersion\":\"2023-07-01\",\"name\":\"[concat(variables('name'), "
               "'/hook%d')]\",\"location\":\"[resourceGroup().location]\",\"dependsOn\":["
               "\"[resourceId('Microsoft.ContainerRegistry/registries/scopeMaps', "
               "variables('name'), 'map0-%d')]\"],\"properties\":{\"scope\":\"[toLower("
               "parameters('prefix'))]\",\"notes\":[",
               i, i % PER_LOOP);
    for (int k = 0; k < 22; k++)
        str_printf(s,
                   "%s{\"key\":\"note-%d-%d\",\"value\":\"Lorem ipsum dolor sit amet, "
                   "consectetur adipiscing elit, sed do eiusmod\"}",
                   k ? "," : "", i, k);
    str_puts(s, "]}}");
}

static void make_template(struct str *s)
{
    str_puts(s, "{\"$schema\":\"https://schema.management.azure.com/schemas/2019-04-01/"
                "deploymentTemplate.json#\",\"contentVersion\":\"1.0.0.0\",\"parameters\":{"
                "\"prefix\":{\"type\":\"string\",\"defaultValue\":\"bench\"}},\"variables\":{"
                "\"name\":\"[concat(parameters('prefix'), uniqueString(resourceGroup().id))]\"},"
                "\"resources\":[");
    for (int i = 0; i < LOOPS; i++) {
        str_puts(s, i ? "," : "");
        put_loop(s, i);
    }
    for (int i = 0; i < PLAIN; i++)
        put_plain(s, i);
    str_puts(s, "],\"outputs\":{\"n\":{\"type\":\"string\",\"value\":\"[variables('name')]\"}}}");
}

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void bench_expand(void)
{
    struct str s;
    str_init(&s, 8 << 20);
    make_template(&s);
    int64_t best = INT64_MAX, total = 0;
    clock_t cpu = clock();
    for (int i = 0; i < ROUNDS; i++) {
        struct arena *a = arena_new();
        struct plan *plan;
        struct template_fault fault;
        struct error err;
        int64_t start = clock_mono_us();
        if (template_plan(a, s.data, s.len, NULL, &context, &plan, &fault, &err) < 0) {
            fprintf(stderr, "line %d: %s\n", fault.line, err.message);
            exit(1);
        }
        int64_t took = clock_mono_us() - start;
        best = took < best ? took : best;
        total += took;
        if (plan->node_count != LOOPS * PER_LOOP + PLAIN)
            exit(1);
        arena_free(a);
    }
    cpu = clock() - cpu;
    printf("expand: %zu bytes, %d resources: best %.1f ms, mean %.1f ms (goal 50), of processor "
           "%.1f ms, peak %.1f MiB (goal 64)\n",
           s.len, LOOPS * PER_LOOP + PLAIN, (double)best / 1000, (double)total / ROUNDS / 1000,
           (double)cpu * 1000 / CLOCKS_PER_SEC / ROUNDS, (double)peak_kib() / 1024);
    str_done(&s);
}

static void bench_calls(const char *name, const char *expression, int calls_per_item)
{
    int64_t calls = 0, start = clock_mono_us(), took;
    do {
        struct arena *a = arena_new();
        struct json_object *json;
        struct error err;
        if (template_eval(a, expression, &context, &json, NULL, &err) < 0) {
            fprintf(stderr, "%s\n", err.message);
            exit(1);
        }
        json_put(json);
        arena_free(a);
        calls += (int64_t)CALLS_PER_EXPRESSION * calls_per_item;
        took = clock_mono_us() - start;
    } while (took < 1000000);
    printf("%s: %.0f calls/s (goal 1000000)\n", name, (double)calls * 1e6 / (double)took);
}

int main(void)
{
    bench_expand();
    bench_calls("add, lambdaVariables",
                "reduce(range(0, 10000), 0, lambda('a', 'b', add(lambdaVariables('a'), "
                "lambdaVariables('b'))))",
                3);
    bench_calls("concat, toLower, lambdaVariables",
                "length(map(range(0, 10000), lambda('i', toLower(concat('A', "
                "lambdaVariables('i'))))))",
                3);
    return 0;
}
