/* The tables as Markdown, for docs/generated: what the code does is what the pages say. */
#include "controlplane/api/dump.h"

#include <string.h>

#include "common/base/text.h"
#include "common/json/fields.h"

#include "controlplane/api/endpoint.h"
#include "controlplane/api/pipeline.h"
#include "controlplane/api/routes.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/all.h"

static const char *const kind_names[FIELD_KIND_MAX] = {
    [FIELD_TEXT] = "text",
    [FIELD_BOOL] = "boolean",
    [FIELD_INT] = "integer",
    [FIELD_TIME] = "time",
    [FIELD_TEXT_LIST] = "list of texts",
    [FIELD_TEXT_MAP] = "map of texts",
    [FIELD_LIST] = "list",
    [FIELD_JSON] = "any",
};

static const char *mutability(const struct field *f)
{
    if (f->flags & FIELD_READ_ONLY)
        return "read-only";
    if (f->flags & FIELD_CREATE_ONLY)
        return "create only";
    return f->flags & FIELD_SECRET ? "write only" : "read, write";
}

static void dump_values(const struct field *f, FILE *out)
{
    for (size_t i = 0; f->oneof && f->oneof[i]; i++)
        (void)fprintf(out, "%s%s", i ? ", " : "", f->oneof[i]);
    if (!f->oneof && (f->min || f->max))
        (void)fprintf(out, "%lld … %lld", (long long)f->min, (long long)f->max);
}

static void dump_fields(const struct field *table, const char *prefix, FILE *out)
{
    for (const struct field *f = table; f->path; f++) {
        (void)fprintf(out, "| `%s%s` | %s | %s%s | %s%s%s | ", prefix, f->path, kind_names[f->kind],
                      mutability(f), f->flags & FIELD_REQUIRED ? ", required" : "",
                      f->def ? "`" : "", f->def ? f->def : "", f->def ? "`" : "");
        dump_values(f, out);
        (void)fprintf(out, " | %s | %s |\n", sku_text((enum sku)f->gate), f->since ? f->since : "");
        if (f->of) {
            char below[512];

            (void)snprintf(below, sizeof(below), "%s%s[].", prefix, f->path);
            dump_fields(f->of, below, out);
        }
    }
}

static void dump_type(const struct resource_type *t, FILE *out)
{
    (void)fprintf(out, "## %s\n\n%s. Name: `%s`, %zu to %zu characters.\n\n", t->name,
                  t->description, t->pattern, t->name_min, t->name_max);
    (void)fprintf(out, "Versions:");
    for (const char *const *v = t->api_versions; *v; v++)
        (void)fprintf(out, " %s", *v);
    (void)fprintf(out, "\n\n| member | kind | access | default | values | from SKU | since |\n"
                       "|---|---|---|---|---|---|---|\n");
    dump_fields(t->fields, "", out);
    if (t->steps) {
        (void)fprintf(out, "\nSteps:");
        for (const struct step *s = t->steps; s->name; s++)
            (void)fprintf(out, " %s", s->name);
        (void)fprintf(out, "\n");
    }
    if (t->actions) {
        (void)fprintf(out,
                      "\n| action | method | permission | what it does |\n|---|---|---|---|\n");
        for (const struct action *x = t->actions; x->name; x++)
            (void)fprintf(out, "| %s | %s | `%s` | %s |\n", x->name, x->method, x->rbac,
                          x->description);
    }
    (void)fprintf(out, "\n");
}

static void dump_types(FILE *out)
{
    (void)fprintf(out, "# Resource types\n\n");
    for (const struct resource_type *const *t = all_types; *t; t++)
        dump_type(*t, out);
}

/* What a caller needs for it: a permission, or less. */
static void dump_need(const struct endpoint *e, FILE *out)
{
    const char *right = e->action ? e->action : e->right;

    if (right)
        (void)fprintf(out, "`%s`%s", right, e->is_for_any ? ", or any right there" : "");
    else
        (void)fputs(e->is_open ? "nothing" : "a token", out);
}

static void dump_routes(FILE *out)
{
    static const char *const targets[TARGET_MAX] = {
        [TARGET_ITEM] = "a resource",
        [TARGET_COLLECTION] = "a collection",
        [TARGET_ACTION] = "an action",
    };

    (void)fprintf(out, "# Routes\n\nHEAD is answered wherever GET is: of one thing by 204, of anything "
                       "else as GET, without the body.\n\n| method | path | what | needs |\n"
                       "|---|---|---|---|\n");
    for (const struct http_route *r = arm_routes; r->method; r++) {
        const struct endpoint *e = r->plane;

        (void)fprintf(out, "| %s | `%s` | %s | ", r->method, r->pattern,
                      e ? e->description : "resources, through the pipeline");
        if (e)
            dump_need(e, out);
        else
            (void)fputs("the type's permission", out);
        (void)fputs(" |\n", out);
    }
    (void)fprintf(out, "\nThe pipeline answers these methods:\n\n| method | on | permission |\n"
                       "|---|---|---|\n");
    for (const struct verb *v = verbs; v->method; v++)
        (void)fprintf(out, "| %s | %s | %s |\n", v->method, targets[v->target],
                      v->rbac ? v->rbac : "the action's");
}

static void dump_operation(const struct resource_type *t, const char *tail, bool is_data,
                           const char *does, FILE *out)
{
    (void)fprintf(out, "| `%s/%s` | %s | %s |\n", t->rbac ? t->rbac : t->name, tail,
                  is_data ? "data" : "management", does);
}

static bool is_elsewhere(const char *rbac)
{
    const char *dot = strchr(rbac, '.');

    return dot && dot < strchr(rbac, '/');
}

static void dump_operations(FILE *out)
{
    (void)fprintf(out, "# Operations that roles permit\n\n| operation | plane | what it permits |\n"
                       "|---|---|---|\n");
    for (const struct resource_type *const *t = all_types; *t; t++) {
        dump_operation(*t, "read", false, "Reads and lists.", out);
        if (((*t)->refuses & REFUSES_WRITES) != REFUSES_WRITES)
            dump_operation(*t, "write", false, "Creates and changes.", out);
        if (!((*t)->refuses & REFUSES_DELETE))
            dump_operation(*t, "delete", false, "Deletes.", out);
        for (const struct action *x = (*t)->actions; x && x->name; x++) {
            if (!is_elsewhere(x->rbac))
                dump_operation(*t, x->rbac, false, x->description, out);
        }
        for (const struct rbac_row *r = (*t)->data_plane; r && r->name; r++)
            dump_operation(*t, r->name, r->is_data, r->description, out);
    }
}

static void dump_states(FILE *out)
{
    (void)fprintf(out, "# States of a resource\n\n```mermaid\nstateDiagram-v2\n    [*] --> %s\n",
                  state_name(state_table[0].from));
    for (size_t i = 0; i < state_table_len; i++)
        (void)fprintf(out, "    %s --> %s: %s\n", state_name(state_table[i].from),
                      state_name(state_table[i].to), state_event_name(state_table[i].event));
    (void)fprintf(out, "    %s --> [*]\n```\n\n| from | event | to | why |\n|---|---|---|---|\n",
                  state_name(STATE_DELETING));
    for (size_t i = 0; i < state_table_len; i++)
        (void)fprintf(out, "| %s | %s | %s | %s |\n", state_name(state_table[i].from),
                      state_event_name(state_table[i].event), state_name(state_table[i].to),
                      state_table[i].comment);
}

static void dump_tiers(FILE *out)
{
    (void)fprintf(out, "# Tiers\n\nWhat a registry of each SKU may have: children that are "
                       "counted below it, and lines of listUsages.\n\n"
                       "| of | unit | child | listUsages | Basic | Standard | Premium |\n"
                       "|---|---|---|---|---|---|---|\n");
    for (size_t i = TIER_NO_LIMIT + 1; i < TIER_LIMIT_MAX; i++) {
        const struct tier_row *row = &tier_table[i];

        (void)fprintf(out, "| %s | %s | %s | %s |", row->what, row->unit,
                      row->child ? row->child : "", row->usage ? row->usage : "");
        for (enum sku sku = SKU_BASIC; sku < SKU_MAX; sku++) {
            if (row->limit[sku] == TIER_UNLIMITED)
                (void)fprintf(out, " no limit |");
            else
                (void)fprintf(out, " %lld |", (long long)row->limit[sku]);
        }
        (void)fprintf(out, "\n");
    }
}

int dump(const char *what, FILE *out)
{
    static const struct {
        const char *name;
        void (*run)(FILE *out);
    } dumps[] = { { "types", dump_types },
                  { "routes", dump_routes },
                  { "operations", dump_operations },
                  { "states", dump_states },
                  { "tiers", dump_tiers },
                  { "openapi", dump_openapi } };

    for (size_t i = 0; i < ARRAY_LEN(dumps); i++) {
        if (text_eq(what, dumps[i].name)) {
            dumps[i].run(out);
            return fflush(out) == 0 ? 0 : -1;
        }
    }
    return -1;
}
