/* The expression parser and evaluator: any text gives a value or an error, quickly, and what a
 * plan would keep of it evaluates again. */
/* links: portolan_templates portolan_base portolan_json */
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct template_context context = {
        .scope = SCOPE_RESOURCE_GROUP,
        .tenant_id = "22222222-2222-2222-2222-222222222222",
        .subscription_id = "00000000-0000-0000-0000-000000000000",
        .resource_group = "rg",
        .resource_group_location = "eastus",
        .now_us = 1700000000000000,
        .seed = "fuzz",
    };
    if (size > 4096 || !text_is_utf8((const char *)data, size) || memchr(data, 0, size))
        return 0;
    struct arena *a = arena_new();
    struct error err;
    struct json_object *json = NULL, *again = NULL;
    char *text = arena_strndup(a, (const char *)data, size);
    if (template_eval(a, text, &context, &json, NULL, &err) == 0 &&
        template_resolve(a, json, &context, &again, NULL, NULL, &err) == 0)
        json_put(again);
    json_put(json);
    arena_free(a);
    return 0;
}
