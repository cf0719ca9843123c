/* Reading conditions and reducing them: see the header. A parsed condition is a tree; for one
 * action it folds to a set of names, with OR as union and AND as intersection. A negation is known
 * for actions only: "every repository but these" is not a set that data planes can be told. */
#include "controlplane/identity/condition.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"

#include "controlplane/identity/roles.h"

#define DEPTH_MAX 24
#define NODES_MAX 512
#define NAMES_MAX 256
#define ATTRIBUTE "Microsoft.ContainerRegistry/registries/repositories:name"

enum node_kind { NODE_OR, NODE_AND, NODE_NOT, NODE_ACTION, NODE_EQUALS, NODE_STARTS };

struct condition {
    enum node_kind kind;
    const struct condition *left, *right; /* of NOT: left */
    const char *text;                     /* of the leaves */
};

struct reader {
    struct arena *arena;
    const char *start, *at;
    size_t depth, nodes;
    struct error *err;
};

static int refuse(struct reader *r, const char *what)
{
    return fail(r->err, &E_INVALID, "The condition cannot be read at position %zu: %s",
                (size_t)(r->at - r->start), what);
}

static void skip(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')
        r->at++;
}

static bool eat(struct reader *r, const char *token)
{
    skip(r);
    if (!text_starts_nocase(r->at, token))
        return false;
    r->at += strlen(token);
    return true;
}

/* A word that ends where it ends. */
static bool eat_word(struct reader *r, const char *word)
{
    skip(r);
    size_t len = strlen(word);
    char after = text_starts_nocase(r->at, word) ? r->at[len] : 'x';
    if ((after >= 'a' && after <= 'z') || (after >= 'A' && after <= 'Z') || after == '_')
        return false;
    r->at += len;
    return true;
}

static struct condition *node(struct reader *r, enum node_kind kind, const struct condition *left,
                              const struct condition *right, const char *text)
{
    struct condition *n = ARENA_NEW(r->arena, struct condition);
    *n = (struct condition){ .kind = kind, .left = left, .right = right, .text = text };
    r->nodes++;
    return n;
}

static int read_text(struct reader *r, const char **ret)
{
    skip(r);
    if (*r->at != '\'')
        return refuse(r, "a text in single quotes is expected.");
    const char *end = strchr(r->at + 1, '\'');
    if (!end || end == r->at + 1)
        return refuse(r, "a text does not end, or is empty.");
    *ret = arena_strndup(r->arena, r->at + 1, (size_t)(end - r->at - 1));
    r->at = end + 1;
    return 0;
}

static int read_action(struct reader *r, const struct condition **ret)
{
    const char *action = NULL;
    if (!eat(r, "{") || read_text(r, &action) != 0)
        return r->err->code ? -1 : refuse(r, "ActionMatches is followed by {'action'}.");
    /* SubOperationMatches narrows data actions that registries do not have. */
    if (!eat(r, "}"))
        return refuse(r, "'}' is expected.");
    *ret = node(r, NODE_ACTION, NULL, NULL, action);
    return 0;
}

static bool is_repository(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
    return strspn(name, allowed) == strlen(name);
}

static int read_comparison(struct reader *r, const struct condition **ret)
{
    const char *value = NULL;
    bool is_prefix;
    if (!eat(r, "[") || !eat(r, ATTRIBUTE) || !eat(r, "]"))
        return refuse(r, "the attribute must be [" ATTRIBUTE "].");
    if (eat_word(r, "StringEqualsIgnoreCase") || eat_word(r, "StringEquals"))
        is_prefix = false;
    else if (eat_word(r, "StringStartsWithIgnoreCase") || eat_word(r, "StringStartsWith"))
        is_prefix = true;
    else
        return refuse(r, "the operators are StringEquals, StringStartsWith and both with "
                         "IgnoreCase.");
    if (read_text(r, &value) != 0)
        return -1;
    /* Repository names are in lower case, so every comparison may be. */
    value = text_lower(r->arena, value);
    if (!is_repository(value))
        return refuse(r, "the text cannot be part of a repository's name.");
    if (is_prefix && !text_ends(value, "/"))
        return refuse(r, "a prefix must end with '/'.");
    *ret = node(r, is_prefix ? NODE_STARTS : NODE_EQUALS, NULL, NULL, value);
    return 0;
}

static int read_or(struct reader *r, const struct condition **ret);

static bool has_names(const struct condition *c)
{
    if (!c)
        return false;
    return c->kind == NODE_EQUALS || c->kind == NODE_STARTS || has_names(c->left) ||
           has_names(c->right);
}

static int read_unary(struct reader *r, const struct condition **ret)
{
    const struct condition *inner = NULL;
    if (r->nodes > NODES_MAX || r->depth > DEPTH_MAX)
        return refuse(r, "it is too long or too deep.");
    if (eat(r, "!") || eat_word(r, "NOT")) {
        r->depth++;
        if (read_unary(r, &inner) != 0)
            return -1;
        r->depth--;
        if (has_names(inner))
            return refuse(r, "a comparison of names cannot be negated.");
        *ret = node(r, NODE_NOT, inner, NULL, NULL);
        return 0;
    }
    if (eat(r, "(")) {
        r->depth++;
        if (read_or(r, ret) != 0)
            return -1;
        r->depth--;
        return eat(r, ")") ? 0 : refuse(r, "')' is expected.");
    }
    if (eat_word(r, "ActionMatches"))
        return read_action(r, ret);
    if (eat(r, "@Request") || eat(r, "@Resource"))
        return read_comparison(r, ret);
    return refuse(r, "ActionMatches, @Request, '!' or '(' is expected.");
}

static int read_and(struct reader *r, const struct condition **ret)
{
    if (read_unary(r, ret) != 0)
        return -1;
    while (eat(r, "&&") || eat_word(r, "AND")) {
        const struct condition *right = NULL;
        if (read_unary(r, &right) != 0)
            return -1;
        *ret = node(r, NODE_AND, *ret, right, NULL);
    }
    return 0;
}

static int read_or(struct reader *r, const struct condition **ret)
{
    if (read_and(r, ret) != 0)
        return -1;
    while (eat(r, "||") || eat_word(r, "OR")) {
        const struct condition *right = NULL;
        if (read_and(r, &right) != 0)
            return -1;
        *ret = node(r, NODE_OR, *ret, right, NULL);
    }
    return 0;
}

int condition_parse(struct arena *a, const char *text, struct condition **ret, struct error *err)
{
    struct reader r = { .arena = a, .start = text, .at = text, .err = err };
    const struct condition *root = NULL;
    err->code = NULL;
    if (strlen(text) > CONDITION_MAX_BYTES)
        return refuse(&r, "it is too long.");
    if (read_or(&r, &root) != 0)
        return -1;
    skip(&r);
    if (*r.at)
        return refuse(&r, "nothing is expected here.");
    *ret = node(&r, NODE_OR, root, root, NULL);
    return 0;
}

/* Sets of names ------------------------------------------------------------------------------- */

static bool is_pattern(const char *name)
{
    return text_ends(name, "*");
}

/* Whatever inner stands for, outer does too. */
static bool covers(const char *outer, const char *inner)
{
    if (!is_pattern(outer))
        return text_eq(outer, inner);
    size_t len = strlen(outer) - 1;
    return strncmp(outer, inner, len) == 0 && strlen(inner) > len;
}

static void add(struct condition_names *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (covers(set->items[i], name))
            return;
    }
    if (set->count < NAMES_MAX) /* more grant no more: closed, not open */
        set->items[set->count++] = name;
}

static struct condition_names empty_set(struct arena *a)
{
    return (struct condition_names){ .items = arena_array(a, NAMES_MAX, sizeof(char *)) };
}

static struct condition_names one(struct arena *a, const char *name)
{
    struct condition_names set = empty_set(a);
    add(&set, name);
    return set;
}

static struct condition_names fold(struct arena *a, const struct condition *c, const char *action)
{
    struct condition_names left, right, set;

    switch (c->kind) {
    case NODE_ACTION:
        return role_pattern_matches(c->text, action) ? one(a, "*") : empty_set(a);
    case NODE_EQUALS:
        return one(a, c->text);
    case NODE_STARTS:
        return one(a, arena_printf(a, "%s*", c->text));
    case NODE_NOT: /* of actions only: all or nothing */
        return fold(a, c->left, action).count ? empty_set(a) : one(a, "*");
    case NODE_OR:
    case NODE_AND:
        break;
    }
    left = fold(a, c->left, action);
    right = c->left == c->right ? left : fold(a, c->right, action);
    set = empty_set(a);
    if (c->kind == NODE_OR) {
        for (size_t i = 0; i < left.count; i++)
            add(&set, left.items[i]);
        for (size_t i = 0; i < right.count; i++)
            add(&set, right.items[i]);
        return set;
    }
    for (size_t i = 0; i < left.count; i++) {
        for (size_t j = 0; j < right.count; j++) {
            if (covers(left.items[i], right.items[j]))
                add(&set, right.items[j]);
            else if (covers(right.items[j], left.items[i]))
                add(&set, left.items[i]);
        }
    }
    return set;
}

void condition_allows(struct arena *a, const struct condition *condition, const char *action,
                      struct condition_names *ret)
{
    *ret = fold(a, condition, action);
}
