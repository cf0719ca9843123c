/* Whole templates: any text gives a plan or an error with a place inside the text; plans print,
 * draw and resolve. And any text is a request that a template may be cut out of. */
/* links: portolan_templates portolan_base portolan_json */
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "templates/language/source.h"
#include "templates/language/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_plan(struct arena *a, const struct plan *p, const struct template_context *x)
{
    struct error err;
    struct json_object *json = plan_json(p, true);
    (void)json_print(a, json);
    json_put(json);
    (void)plan_mermaid(a, p);
    for (size_t i = 0; i < p->node_count; i++) {
        struct json_object *planned = template_json(p->nodes[i].body, false), *resolved = NULL;
        if (template_resolve(a, planned, x, &resolved, NULL, NULL, &err) == 0)
            json_put(resolved);
        json_put(planned);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct template_context context = {
        .scope = SCOPE_RESOURCE_GROUP,
        .tenant_id = "22222222-2222-2222-2222-222222222222",
        .subscription_id = "00000000-0000-0000-0000-000000000000",
        .resource_group = "rg",
        .resource_group_location = "eastus",
        .deployment_name = "fuzz",
        .now_us = 1700000000000000,
        .seed = "fuzz",
    };
    if (size > 65536)
        return 0;
    struct arena *a = arena_new();
    struct error err;
    struct plan *plan;
    struct template_fault fault;
    struct template_finding *findings;
    char *text = size ? arena_memdup(a, data, size) : arena_strdup(a, "");
    if (template_plan(a, text, size, NULL, &context, &plan, &fault, &err) == 0)
        use_plan(a, plan, &context);
    else if (fault.line < 0 || fault.column < 0 || err.code->status < 400)
        __builtin_trap();
    (void)!template_lint(a, text, size, &findings, &fault, &err);
    static const char *const path[] = { "resources", "template", NULL };
    const char *cut;
    size_t cut_len;
    if (source_slice(text, size, path, &cut, &cut_len) &&
        (cut < text || cut + cut_len > text + size || !cut_len))
        __builtin_trap();
    arena_free(a);
    return 0;
}
