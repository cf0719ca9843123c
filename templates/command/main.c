/* portolan-template: the template engine without a server. Expands, checks and draws templates,
 * evaluates single expressions, and prints the table of functions. Errors point at the place. */
#include <stdio.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

enum { EXIT_FOUND = 1, EXIT_USAGE = 2 };

struct options {
    const char *parameters, *scope, *tenant, *subscription, *resource_group, *management_group;
    const char *location, *name;
    bool shows_secrets;
    const char *operand;
};

static const char usage[] =
    "usage: portolan-template expand FILE [options]   the resources a template makes, as JSON\n"
    "       portolan-template graph FILE [options]    their order of deployment, as Mermaid\n"
    "       portolan-template lint FILE               mistakes, and what is worth a look\n"
    "       portolan-template eval EXPRESSION [options]\n"
    "       portolan-template hash FILE               the template hash\n"
    "       portolan-template functions               the table of functions, as Markdown\n"
    "\n"
    "options: --parameters FILE        a parameter file\n"
    "         --resource-group NAME    (default: example)\n"
    "         --subscription ID        (default: 00000000-0000-0000-0000-000000000000)\n"
    "         --tenant ID              --management-group NAME\n"
    "         --location NAME          (default: eastus)\n"
    "         --name NAME              of the deployment\n"
    "         --show-secrets           print secure values too\n"
    "         --scope SCOPE            resourceGroup, subscription, managementGroup or tenant;\n"
    "                                  default: what the template's $schema says\n";

static int bad_usage(const char *what, const char *which)
{
    if (what)
        fprintf(stderr, "portolan-template: %s '%s'\n", what, which);
    fputs(usage, stderr);
    return EXIT_USAGE;
}

/* Flags and one operand from argv[2…]. */
static int read_options(int argc, char **argv, struct options *o)
{
    const struct {
        const char *flag;
        const char **to;
    } flags[] = {
        { "--parameters", &o->parameters },
        { "--scope", &o->scope },
        { "--tenant", &o->tenant },
        { "--subscription", &o->subscription },
        { "--resource-group", &o->resource_group },
        { "--management-group", &o->management_group },
        { "--location", &o->location },
        { "--name", &o->name },
    };
    for (int i = 2; i < argc; i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(flags) && !text_eq(flags[k].flag, argv[i]))
            k++;
        if (k < ARRAY_LEN(flags) && i + 1 < argc)
            *flags[k].to = argv[++i];
        else if (text_eq(argv[i], "--show-secrets"))
            o->shows_secrets = true;
        else if (k < ARRAY_LEN(flags))
            return bad_usage("no value for", argv[i]);
        else if (text_starts(argv[i], "--") || o->operand)
            return bad_usage("unknown argument", argv[i]);
        else
            o->operand = argv[i];
    }
    return 0;
}

static void show_line(const char *text, size_t len, int line, int column)
{
    const char *p = text, *end = text + len;
    for (int i = 1; i < line && p < end; i++) {
        const char *next = memchr(p, '\n', (size_t)(end - p));
        p = next ? next + 1 : end;
    }
    const char *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    size_t width = (size_t)((stop ? stop : end) - p);
    if (width && p[width - 1] == '\r')
        width--;
    size_t at = column > 0 ? (size_t)column - 1 : 0;
    /* A minified template is one long line: what is around the place is enough. */
    size_t from = at > 60 ? at - 60 : 0;
    size_t shown = width > from ? width - from : 0;
    fprintf(stderr, "    %.*s\n    ", (int)(shown > 120 ? 120 : shown), p + from);
    for (size_t i = from; i < at && i < width; i++)
        fputc(p[i] == '\t' ? '\t' : ' ', stderr);
    fputs("^\n", stderr);
}

static int show_error(const char *file, const char *text, size_t len,
                      const struct template_fault *fault, const struct error *err)
{
    if (fault && fault->line) {
        fprintf(stderr, "%s:%d:%d: error: %s\n", file, fault->line, fault->column, err->message);
        show_line(text, len, fault->line, fault->column);
    } else {
        fprintf(stderr, "%s: error: %s\n", file, err->message);
    }
    return EXIT_FOUND;
}

static enum template_scope scope_of(const struct options *o, const char *text)
{
    static const char *const names[SCOPE_MAX] = { "resourceGroup", "subscription",
                                                  "managementGroup", "tenant" };
    static const char *const schemas[SCOPE_MAX] = { "/deploymentTemplate.json",
                                                    "/subscriptionDeploymentTemplate.json",
                                                    "/managementGroupDeploymentTemplate.json",
                                                    "/tenantDeploymentTemplate.json" };
    size_t best = SCOPE_RESOURCE_GROUP;
    const char *first = NULL;
    for (size_t i = 0; i < SCOPE_MAX; i++) {
        const char *at = text ? strstr(text, schemas[i]) : NULL;
        if (text_eq_nocase(o->scope, names[i]))
            return (enum template_scope)i;
        if (at && (!first || at < first)) {
            first = at;
            best = i;
        }
    }
    return (enum template_scope)best;
}

static struct template_context context_of(struct arena *a, const struct options *o,
                                          const char *text)
{
    char *seed = arena_alloc(a, UUID_TEXT_LEN + 1);
    uuid_new(seed);
    return (struct template_context){
        .scope = scope_of(o, text),
        .tenant_id = o->tenant ? o->tenant : "00000000-0000-0000-0000-000000000000",
        .subscription_id =
            o->subscription ? o->subscription : "00000000-0000-0000-0000-000000000000",
        .subscription_name = "example",
        .resource_group = o->resource_group ? o->resource_group : "example",
        .resource_group_location = o->location ? o->location : "eastus",
        .management_group = o->management_group ? o->management_group : "example",
        .deployment_name = o->name ? o->name : "example",
        .deployment_location = o->location ? o->location : "eastus",
        .now_us = clock_wall_us(),
        .seed = seed,
    };
}

static int read_file(struct arena *a, const char *path, char **text, size_t *len)
{
    struct error err;
    if (!path)
        return bad_usage(NULL, NULL);
    if (file_read(a, path, TEMPLATE_BYTES_MAX, text, len, &err) == 0)
        return 0;
    return show_error(path, "", 0, NULL, &err);
}

/* The "parameters" member of a parameter file. */
static int read_parameters(struct arena *a, const char *path, struct json_object **ret)
{
    char *text;
    size_t len;
    struct error err;
    struct json_object *json = NULL;
    *ret = NULL;
    if (!path)
        return 0;
    int rc = read_file(a, path, &text, &len);
    if (rc)
        return rc;
    size_t skip = len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    if (json_parse(text + skip, len - skip, TEMPLATE_BYTES_MAX, JSON_TEMPLATE, &json, &err) < 0)
        return show_error(path, text, len, NULL, &err);
    json_own(a, json);
    *ret = json_at(json, json_has(json, "parameters") ? "parameters" : "");
    return 0;
}

static int make_plan(struct arena *a, const struct options *o, struct plan **ret)
{
    char *text;
    size_t len;
    struct json_object *parameters;
    struct template_fault fault;
    struct error err;
    int rc = read_file(a, o->operand, &text, &len);
    if (rc == 0)
        rc = read_parameters(a, o->parameters, &parameters);
    if (rc)
        return rc;
    struct template_context *context = arena_alloc(a, sizeof(*context));
    *context = context_of(a, o, text);
    if (template_plan(a, text, len, parameters, context, ret, &fault, &err) == 0)
        return 0;
    return show_error(o->operand, text, len, &fault, &err);
}

static int command_expand(struct arena *a, const struct options *o)
{
    struct plan *plan;
    int rc = make_plan(a, o, &plan);
    if (rc)
        return rc;
    _cleanup_(json_putp) struct json_object *json = plan_json(plan, !o->shows_secrets);
    puts(json_print_pretty(a, json));
    return 0;
}

static int command_graph(struct arena *a, const struct options *o)
{
    struct plan *plan;
    int rc = make_plan(a, o, &plan);
    if (rc)
        return rc;
    fputs(plan_mermaid(a, plan), stdout);
    return 0;
}

static int command_lint(struct arena *a, const struct options *o)
{
    char *text;
    size_t len;
    struct template_fault fault;
    struct template_finding *findings;
    struct error err;
    int rc = read_file(a, o->operand, &text, &len);
    if (rc)
        return rc;
    if (template_lint(a, text, len, &findings, &fault, &err) < 0)
        return show_error(o->operand, text, len, &fault, &err);
    for (const struct template_finding *f = findings; f; f = f->next) {
        fprintf(stderr, "%s:%d:%d: %s: %s\n", o->operand, f->line, f->column, f->code, f->message);
        show_line(text, len, f->line, f->column);
    }
    return findings ? EXIT_FOUND : 0;
}

static int command_eval(struct arena *a, const struct options *o)
{
    if (!o->operand)
        return bad_usage(NULL, NULL);
    struct template_context context = context_of(a, o, NULL);
    struct error err;
    size_t at;
    _cleanup_(json_putp) struct json_object *json = NULL;
    if (template_eval(a, o->operand, &context, &json, &at, &err) < 0) {
        struct template_fault fault = { .line = at ? 1 : 0, .column = (int)at + 1 };
        return show_error("expression", o->operand, strlen(o->operand), &fault, &err);
    }
    puts(json_print_pretty(a, json));
    return 0;
}

static int command_hash(struct arena *a, const struct options *o)
{
    char *text;
    size_t len;
    const char *hash;
    struct error err;
    int rc = read_file(a, o->operand, &text, &len);
    if (rc)
        return rc;
    if (template_hash(a, text, len, &hash, NULL, &err) < 0)
        return show_error(o->operand, text, len, NULL, &err);
    puts(hash);
    return 0;
}

static int command_functions(struct arena *a, const struct options *o)
{
    (void)o;
    fputs(template_functions_markdown(a), stdout);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct arena *a, const struct options *o);
} commands[] = {
    { "expand", command_expand }, { "graph", command_graph }, { "lint", command_lint },
    { "eval", command_eval },     { "hash", command_hash },   { "functions", command_functions },
};

int main(int argc, char **argv)
{
    struct options o = { 0 };
    const char *name = argc > 1 ? argv[1] : "";
    if (text_eq(name, "--help") || text_eq(name, "help")) {
        fputs(usage, stdout);
        return 0;
    }
    if (text_eq(name, "--version")) {
        puts("portolan-template " PORTOLAN_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!text_eq(commands[i].name, name))
            continue;
        if (read_options(argc, argv, &o))
            return EXIT_USAGE;
        _cleanup_(arena_freep) struct arena *a = arena_new();
        int rc = commands[i].run(a, &o);
        return fflush(stdout) == 0 ? rc : EXIT_FOUND;
    }
    return bad_usage("unknown command", name);
}
