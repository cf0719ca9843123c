/* Deployments of templates: the request around the texts of a template and its parameters. The
 * template goes out as it was written, comments and all: its hash is taken of that. */
#include "sdk/src/internal.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"

#define TEMPLATE_MAX_BYTES ((size_t)8 << 20)
#define BODY_MAX_BYTES     (2 * TEMPLATE_MAX_BYTES)

static const char *const actions[] = {
    [PORTOLAN_DEPLOY] = "",
    [PORTOLAN_VALIDATE] = "/validate",
    [PORTOLAN_WHAT_IF] = "/whatIf",
};

/* Mistakes in a file are told with its line and column, before anything is sent. */
static int check_file(struct arena *a, const char *text, const char *what, struct json_object **ret,
                      struct error *err)
{
    struct json_object *whole = NULL;

    if (!text)
        return fail_at(err, &E_INVALID, what, "A deployment needs a template.");
    if (json_parse(text, strlen(text), TEMPLATE_MAX_BYTES, JSON_TEMPLATE, &whole, err))
        return -1;
    *ret = json_own(a, whole);
    if (json_kind(whole) != JSON_OBJECT)
        return fail_at(err, &E_INVALID, what, "The %s is not a JSON object.", what);
    return 0;
}

/* A parameter file has them below "parameters"; they alone are taken too. */
static int read_parameters(struct arena *a, const char *text, const char **ret, struct error *err)
{
    struct json_object *whole;

    *ret = "{}";
    if (!text)
        return 0;
    if (check_file(a, text, "parameters", &whole, err))
        return -1;
    if (json_has(whole, "parameters") && (json_has(whole, "$schema") || json_count(whole) == 1))
        whole = json_at(whole, "parameters");
    *ret = json_print(a, whole);
    return 0;
}

static int make_body(struct arena *a, const struct portolan_deployment *what, const char **ret,
                     struct error *err)
{
    _cleanup_(str_done) struct str body = { 0 };
    bool is_group = strcasestr(what->scope, "/resourceGroups/") != NULL;
    const char *parameters, *location = what->location ? what->location : "eastus";
    struct json_object *ignored;

    if (check_file(a, what->template_, "template", &ignored, err) ||
        read_parameters(a, what->parameters, &parameters, err))
        return -1;
    str_init(&body, BODY_MAX_BYTES);
    str_puts(&body, "{");
    if (!is_group)
        str_printf(&body, "\"location\":%s,", json_print(a, json_own(a, json_new_text(location))));
    str_printf(&body, "\"properties\":{\"mode\":\"%s\",\"parameters\":%s,\"template\":",
               what->is_complete ? "Complete" : "Incremental", parameters);
    str_puts(&body, what->template_);
    str_puts(&body, "\n}}");
    if (str_check(&body, err))
        return -1;
    *ret = str_copy(&body, a);
    return 0;
}

static int run(struct portolan *p, struct arena *a, enum portolan_deploy_verb verb,
               const struct portolan_deployment *what, char **ret, struct error *err)
{
    struct portolan_request request = { .method = verb == PORTOLAN_DEPLOY ? "PUT" : "POST",
                                        .no_wait = what->no_wait };

    if (!what->scope || !what->name || !*what->name)
        return fail_at(err, &E_INVALID, "name", "A deployment needs a scope and a name.");
    if (make_body(a, what, &request.body, err))
        return -1;
    request.path = arena_printf(a, "%s/providers/Microsoft.Resources/deployments/%s%s", what->scope,
                                text_percent_encode(a, what->name), actions[verb]);
    return sdk_run(p, a, &request, ret, err);
}

int portolan_deploy(struct portolan *p, enum portolan_deploy_verb verb,
                    const struct portolan_deployment *what, char **ret, struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error why;
    char *text;

    return run(p, a, verb, what, &text, &why) ? sdk_report(&why, err) : sdk_give(text, ret);
}
