/* What the resources of a plan are called: ids, names, type/name, symbols and copy loops, in one
 * hash table without case. */
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/language/expand.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"

enum name_kind { NAME_ID, NAME_SYMBOL, NAME_SHORT, NAME_TYPED, NAME_LOOP, NAME_KIND_MAX };

struct name_entry {
    const char *name;
    uint32_t hash;
    enum name_kind kind;
    size_t node;
    size_t next; /* entry + 1; 0 ends */
};

static uint32_t hash_name(const char *s)
{
    uint32_t h = 2166136261u;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 16777619u;
    }
    return h;
}

static void add(struct plan_builder *b, enum name_kind kind, const char *name, size_t node)
{
    if (!name)
        return;
    struct name_entry *e = &b->entries[b->entry_count];
    *e = (struct name_entry){ .name = name, .hash = hash_name(name), .kind = kind, .node = node };
    size_t *head = &b->heads[e->hash % b->head_count];
    while (*head) /* in order of nodes */
        head = &b->entries[*head - 1].next;
    *head = ++b->entry_count;
}

/* "ns/a/x/b/y" without a scope; and resource groups by the id that resourceId() gives them. */
static void add_other_spellings(struct plan_builder *b, const struct plan_node *n, size_t node)
{
    static const char provider[] = "/providers/";
    const char *relative = NULL;
    for (const char *p = strstr(n->id, provider); p; p = strstr(p + 1, provider))
        relative = p + sizeof(provider) - 1;
    add(b, NAME_TYPED, relative, node);
    const char *group = strstr(n->id, "/resourceGroups/");
    if (!text_eq_nocase(n->type, "Microsoft.Resources/resourceGroups") || !group)
        return;
    add(b, NAME_ID,
        arena_printf(b->file->home.engine->arena, "%.*s/providers/Microsoft.Resources%s",
                     (int)(group - n->id), n->id, group),
        node);
}

void builder_index(struct plan_builder *b)
{
    struct arena *a = b->file->home.engine->arena;
    b->head_count = b->count * 7 + 7;
    b->heads = arena_array(a, b->head_count, sizeof(*b->heads));
    b->entries = arena_array(a, b->count * 7 + 1, sizeof(*b->entries));
    for (size_t i = 0; i < b->count; i++) {
        const struct plan_node *n = b->builds[i].node;
        add(b, NAME_ID, n->id, i);
        add(b, NAME_SYMBOL, n->symbol, i);
        add(b, NAME_SHORT, n->name, i);
        add(b, NAME_TYPED, arena_printf(a, "%s/%s", n->type, n->name), i);
        add(b, NAME_LOOP, n->loop, i);
        add_other_spellings(b, n, i);
    }
}

/* Calls for each entry of the name: *ret is the n-th match of one of the kinds. */
static const struct name_entry *find(const struct plan_builder *b, const char *name, unsigned kinds,
                                     const struct name_entry *after)
{
    uint32_t hash = hash_name(name);
    size_t at = after ? after->next : b->heads[hash % b->head_count];
    for (; at; at = b->entries[at - 1].next) {
        const struct name_entry *e = &b->entries[at - 1];
        if (e->hash == hash && (kinds & 1u << e->kind) && !strcasecmp(e->name, name))
            return e;
    }
    return NULL;
}

static int ambiguous(const char *name, struct error *err)
{
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template resource reference '%s' is not valid: more than one resource of the "
                "template has this name; use its resource id." USAGE("arm-template"),
                name);
}

int builder_find(struct plan_builder *b, struct env *env, const char *name, size_t *ret_node,
                 struct error *err)
{
    static const unsigned ways[] = { 1u << NAME_SYMBOL, 1u << NAME_ID,
                                     1u << NAME_SHORT | 1u << NAME_TYPED };
    (void)env;
    if (!b->head_count)
        return 0;
    size_t len = strlen(name);
    while (len > 1 && name[len - 1] == '/')
        name = arena_strndup(b->file->home.engine->arena, name, --len);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        const struct name_entry *e = find(b, name, ways[i], NULL);
        const struct name_entry *live = NULL;
        for (const struct name_entry *other = e; other; other = find(b, name, ways[i], other)) {
            const struct plan_node *n = b->builds[other->node].node;
            if (n->is_skipped)
                continue;
            bool same = live && text_eq_nocase(n->id, b->builds[live->node].node->id);
            if (live && !same)
                return ambiguous(name, err);
            live = live ? live : other;
        }
        if (!e)
            continue;
        *ret_node = live ? live->node : e->node;
        return 1;
    }
    return 0;
}

size_t builder_loop(struct plan_builder *b, const char *name, size_t **ret_nodes)
{
    struct arena *a = b->file->home.engine->arena;
    size_t count = 0;
    *ret_nodes = NULL;
    if (!b->head_count)
        return 0;
    for (const struct name_entry *e = find(b, name, 1u << NAME_LOOP, NULL); e;
         e = find(b, name, 1u << NAME_LOOP, e))
        count++;
    bool is_empty_loop = false;
    for (size_t i = 0; i < b->file->loop_count && !count; i++)
        is_empty_loop = is_empty_loop || text_eq_nocase(b->file->loops[i], name);
    if (!count && !is_empty_loop)
        return 0;
    *ret_nodes = arena_array(a, count + 1, sizeof(**ret_nodes));
    count = 0;
    for (const struct name_entry *e = find(b, name, 1u << NAME_LOOP, NULL); e;
         e = find(b, name, 1u << NAME_LOOP, e))
        (*ret_nodes)[count++] = e->node;
    return count;
}

void builder_edge(struct plan_builder *b, size_t node, size_t other, bool is_implied)
{
    struct build_node *from = &b->builds[node];
    struct plan_node *n = from->node;
    if (node == other)
        return;
    for (size_t i = 0; i < n->edge_count; i++)
        if (n->edges[i].node == other) {
            n->edges[i].is_implied = n->edges[i].is_implied && is_implied;
            return;
        }
    if (n->edge_count == from->edge_cap) {
        size_t cap = from->edge_cap ? from->edge_cap * 2 : 4;
        struct plan_edge *bigger = arena_array(b->file->home.engine->arena, cap, sizeof(*bigger));
        if (n->edge_count)
            memcpy(bigger, n->edges, n->edge_count * sizeof(*bigger));
        n->edges = bigger;
        from->edge_cap = cap;
    }
    n->edges[n->edge_count++] = (struct plan_edge){ .node = other, .is_implied = is_implied };
}

struct env builder_env(struct plan_builder *b, size_t node, unsigned allow)
{
    struct env env = b->file->home;
    env.plan = b;
    env.node = node;
    env.allow = allow;
    env.copy = node == SIZE_MAX ? NULL : b->builds[node].copy;
    return env;
}

int builder_blame(struct plan_builder *b, const char *name, uint32_t at, struct error *err)
{
    return file_blame(b->file, "resource", name ? name : "", at, err);
}
