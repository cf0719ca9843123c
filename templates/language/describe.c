/* A plan told to people and programs: as JSON, and as a Mermaid graph. The table of functions as
 * Markdown. */
#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/functions/function.h"
#include "templates/language/template.h"

#define GRAPH_MAX ((size_t)8 << 20)

static struct json_object *describe_node(const struct plan *p, const struct plan_node *n,
                                         bool is_redacted)
{
    struct json_object *json = json_new_object();
    struct json_object *depends_on = json_new_array();
    json_set_text(json, "id", n->id);
    if (n->symbol)
        json_set_text(json, "symbolicName", n->symbol);
    json_set_text(json, "type", n->type);
    json_set_text(json, "name", n->name);
    if (n->is_existing)
        json_set_bool(json, "existing", true);
    if (n->is_skipped)
        json_set_bool(json, "condition", false);
    for (size_t i = 0; i < n->edge_count; i++)
        json_add_text(depends_on, p->nodes[n->edges[i].node].id);
    json_set(json, "dependsOn", depends_on);
    if (!n->is_skipped)
        json_set(json, "body", template_json(n->body, is_redacted));
    if (n->nested)
        json_set(json, "nested", plan_json(n->nested, is_redacted));
    if (n->nested_error)
        json_set_text(json, "nestedError", n->nested_error);
    return json;
}

struct json_object *plan_json(const struct plan *p, bool is_redacted)
{
    struct json_object *json = json_new_object();
    struct json_object *parameters = json_new_object();
    struct json_object *resources = json_new_array();
    struct json_object *outputs = json_new_object();
    json_set_text(json, "templateHash", p->template_hash);
    for (size_t i = 0; i < p->parameter_count; i++) {
        struct json_object *one = json_new_object();
        json_set_text(one, "type", p->parameters[i].type);
        if (!p->parameters[i].is_secure || !is_redacted)
            json_set(one, "value", template_json(p->parameters[i].value, is_redacted));
        json_set(parameters, p->parameters[i].name, one);
    }
    for (size_t i = 0; i < p->node_count; i++)
        json_add(resources, describe_node(p, &p->nodes[p->order[i]], is_redacted));
    for (size_t i = 0; i < p->output_count; i++) {
        struct json_object *one = json_new_object();
        json_set_text(one, "type", p->outputs[i].type);
        if (!p->outputs[i].is_secure || !is_redacted)
            json_set(one, "value", template_json(p->outputs[i].value, is_redacted));
        json_set(outputs, p->outputs[i].name, one);
    }
    json_set(json, "parameters", parameters);
    json_set(json, "resources", resources);
    json_set(json, "outputs", outputs);
    return json;
}

static void put_label(struct str *s, const char *text)
{
    for (; *text; text++) {
        if (*text == '"')
            str_puts(s, "#quot;");
        else if (*text == '<' || *text == '>' || *text == '#')
            str_printf(s, "#%d;", *text);
        else if ((unsigned char)*text >= 0x20)
            str_putc(s, *text);
    }
}

/* A rounded box is read only, a dashed one is not deployed. */
static void put_node(struct str *s, const struct plan_node *n, const char *prefix, size_t i,
                     int indent)
{
    str_printf(s, "%*s%s%zu%s\"", indent, "", prefix, i, n->is_existing ? "(" : "[");
    put_label(s, n->type);
    str_puts(s, "<br/>");
    put_label(s, *n->name ? n->name : n->symbol ? n->symbol : "?");
    str_printf(s, "\"%s%s\n", n->is_existing ? ")" : "]", n->is_skipped ? ":::skipped" : "");
}

static void put_graph(struct arena *a, struct str *s, const struct plan *p, const char *prefix,
                      int indent)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct plan_node *n = &p->nodes[i];
        put_node(s, n, prefix, i, indent);
        if (!n->nested || !n->nested->node_count)
            continue;
        char *inner = arena_printf(a, "%s%zu_", prefix, i);
        str_printf(s, "%*ssubgraph %sg[\"", indent, "", inner);
        put_label(s, n->name);
        str_puts(s, "\"]\n");
        put_graph(a, s, n->nested, inner, indent + 2);
        str_printf(s, "%*send\n%*s%s%zu --- %sg\n", indent, "", indent, "", prefix, i, inner);
    }
    for (size_t i = 0; i < p->node_count; i++)
        for (size_t k = 0; k < p->nodes[i].edge_count; k++) {
            const struct plan_edge *e = &p->nodes[i].edges[k];
            str_printf(s, "%*s%s%zu %s %s%zu\n", indent, "", prefix, e->node,
                       e->is_implied ? "-.->" : "-->", prefix, i);
        }
}

char *plan_mermaid(struct arena *a, const struct plan *p)
{
    struct str s;
    str_init(&s, GRAPH_MAX);
    str_puts(&s, "graph TD\n");
    put_graph(a, &s, p, "n", 2);
    str_puts(&s, "  classDef skipped stroke-dasharray: 4 4\n");
    char *text = str_copy(&s, a);
    str_done(&s);
    return text;
}

static const char *where(const struct function *f)
{
    if (f->flags & FN_DEFAULTS)
        return "parameter defaults";
    if (f->flags & FN_INPUTS)
        return "expressions of parameter values";
    if (f->flags & FN_RUNTIME)
        return "resource bodies, outputs, nested parameters";
    return f->flags & FN_SCOPE ? "not in user functions" : "anywhere";
}

static void put_family(struct str *s, const char *family)
{
    str_printf(s, "\n## %c%s\n\n| Function | Gives | May stand |\n|---|---|---|\n",
               family[0] & ~0x20, family + 1);
    for (size_t i = 0; i < function_count; i++) {
        const struct function *f = &function_table[i];
        if (text_eq(f->family, family))
            str_printf(s, "| `%s(%s)` | %s | %s |\n", f->name, f->arguments, f->help, where(f));
    }
}

char *template_functions_markdown(struct arena *a)
{
    static const char *const families[] = { "array",      "cidr",     "comparison", "date",
                                            "deployment", "lambda",   "logical",    "number",
                                            "object",     "resource", "scope",      "string" };
    struct str s;
    str_init(&s, 1 << 20);
    str_printf(&s,
               "# Template functions\n\nMade by `portolan-template functions` from the table "
               "the engine runs on: %zu functions. Names are without case.\n",
               function_count);
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        put_family(&s, families[i]);
    char *text = str_copy(&s, a);
    str_done(&s);
    return text;
}
