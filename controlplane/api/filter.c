/* The $filter parser: a hand-read grammar of a few lines, see the header. */
#include "controlplane/api/filter.h"

#include <ctype.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/type.h"

#define FILTER_MAX_BYTES 4096
#define DEPTH_MAX 8
#define WORD_MAX 32
#define CONDITIONS_MAX 16

struct parser {
    struct arena *a;
    const char *whole;
    const char *p;
    struct resource_filter *filter;
    const struct filter_member *known; /* of a type; NULL: members below, into filter */
    struct filter_condition *conditions;
    size_t count;
    int depth;
};

struct filter_condition {
    const char *path, *value;
    bool is_part;
};

/* Which struct member a word of the filter sets; keys are compared in lower case. */
struct member_row {
    const char *word;
    size_t offset;
    bool is_key;
};

static const struct member_row members[] = {
    { "resourceType", offsetof(struct resource_filter, type_key), true },
    { "name", offsetof(struct resource_filter, name), false },
    { "location", offsetof(struct resource_filter, location), true },
    { "resourceGroup", offsetof(struct resource_filter, group_key), true },
    { "tagName", offsetof(struct resource_filter, tag_name), false },
    { "tagValue", offsetof(struct resource_filter, tag_value), false },
};

static int refuse(const struct parser *s, struct error *err)
{
    return fail(err, &E_INVALID_FILTER,
                "Invalid $filter '%.200s' specified in the query string.", s->whole);
}

static void skip_space(struct parser *s)
{
    while (*s->p == ' ' || *s->p == '\t')
        s->p++;
}

/* The word at the cursor, not consumed; "" when there is none. */
static size_t word_at(const struct parser *s, char word[WORD_MAX])
{
    size_t len = 0;

    while (isalnum((unsigned char)s->p[len]) && len < WORD_MAX - 1) {
        word[len] = s->p[len];
        len++;
    }
    word[len] = '\0';
    return len;
}

static bool accept_char(struct parser *s, char c)
{
    skip_space(s);
    if (*s->p != c)
        return false;
    s->p++;
    return true;
}

static bool accept_word(struct parser *s, const char *expected)
{
    char word[WORD_MAX];
    size_t len;

    skip_space(s);
    len = word_at(s, word);
    if (!text_eq_nocase(word, expected))
        return false;
    s->p += len;
    return true;
}

static int parse_text(struct parser *s, const char **ret, struct error *err)
{
    char *out = arena_alloc(s->a, strlen(s->p) + 1);
    size_t len = 0;

    if (!accept_char(s, '\''))
        return refuse(s, err);
    for (;; s->p++) {
        if (*s->p == '\0')
            return refuse(s, err);
        if (*s->p == '\'' && *++s->p != '\'')
            break;
        out[len++] = *s->p;
    }
    out[len] = '\0';
    *ret = out;
    return 0;
}

static int set_member(struct parser *s, const struct member_row *row, const char *value,
                      struct error *err)
{
    const char **slot = (const char **)(void *)((char *)s->filter + row->offset);

    if (row->is_key)
        value = text_lower(s->a, value);
    if (*slot && !text_eq_nocase(*slot, value))
        return refuse(s, err);
    *slot = value;
    return 0;
}

/* "East US" and "eastus" name the same place. */
static const char *squeeze(struct arena *a, const char *s)
{
    char *out = arena_strdup(a, s);
    size_t len = 0;

    for (; *s; s++) {
        if (*s != ' ')
            out[len++] = *s;
    }
    out[len] = '\0';
    return out;
}

/* The type's member at the cursor, taken; NULL. */
static const struct filter_member *accept_member(struct parser *s)
{
    skip_space(s);
    for (const struct filter_member *m = s->known; m->word; m++)
        if (accept_word(s, m->word))
            return m;
    return NULL;
}

static int add_condition(struct parser *s, const struct filter_member *m, const char *value,
                         bool is_part, struct error *err)
{
    if (s->count == CONDITIONS_MAX)
        return refuse(s, err);
    s->conditions[s->count++] = (struct filter_condition){ m->path, value, is_part };
    return 0;
}

/* member eq text, or contains(member, text) */
static int parse_known(struct parser *s, struct error *err)
{
    bool is_part = accept_word(s, "contains");
    const struct filter_member *m;
    const char *value = NULL;

    if (is_part && !accept_char(s, '('))
        return refuse(s, err);
    m = accept_member(s);
    if (!m || !(is_part ? accept_char(s, ',') : accept_word(s, "eq")))
        return refuse(s, err);
    skip_space(s);
    if (parse_text(s, &value, err))
        return -1;
    if (is_part && !accept_char(s, ')'))
        return refuse(s, err);
    return add_condition(s, m, value, is_part, err);
}

static int parse_comparison(struct parser *s, struct error *err)
{
    char word[WORD_MAX];
    const char *value = NULL;
    size_t len = word_at(s, word);

    if (s->known)
        return parse_known(s, err);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (!text_eq_nocase(word, members[i].word))
            continue;
        s->p += len;
        if (!accept_word(s, "eq"))
            return refuse(s, err);
        if (parse_text(s, &value, err))
            return -1;
        if (members[i].offset == offsetof(struct resource_filter, location))
            value = squeeze(s->a, value);
        return set_member(s, &members[i], value, err);
    }
    return refuse(s, err);
}

static int parse_substring(struct parser *s, struct error *err)
{
    static const struct member_row row = { "name",
                                           offsetof(struct resource_filter, name_part), false };
    const char *value = NULL;

    if (!accept_char(s, '('))
        return refuse(s, err);
    if (parse_text(s, &value, err))
        return -1;
    if (!accept_char(s, ',') || !accept_word(s, "name") || !accept_char(s, ')'))
        return refuse(s, err);
    return set_member(s, &row, value, err);
}

static int parse_expression(struct parser *s, struct error *err);

static int parse_term(struct parser *s, struct error *err)
{
    skip_space(s);
    if (accept_char(s, '(')) {
        if (++s->depth > DEPTH_MAX)
            return refuse(s, err);
        if (parse_expression(s, err))
            return -1;
        s->depth--;
        return accept_char(s, ')') ? 0 : refuse(s, err);
    }
    if (!s->known && accept_word(s, "substringof"))
        return parse_substring(s, err);
    return parse_comparison(s, err);
}

static int parse_expression(struct parser *s, struct error *err)
{
    do {
        if (parse_term(s, err))
            return -1;
    } while (accept_word(s, "and"));
    return 0;
}

int filter_parse(struct arena *a, const char *text, struct resource_filter *filter,
                 struct error *err)
{
    struct parser s = { .a = a, .whole = text, .p = text, .filter = filter };

    if (strlen(text) > FILTER_MAX_BYTES)
        return refuse(&s, err);
    if (parse_expression(&s, err))
        return -1;
    skip_space(&s);
    /* A value says something only about the tag it belongs to. */
    if (*s.p || (filter->tag_value && !filter->tag_name))
        return refuse(&s, err);
    return 0;
}

int filter_parse_members(struct arena *a, const char *text, const struct filter_member *known,
                         struct filter_conditions *ret, struct error *err)
{
    struct parser s = { .a = a, .whole = text, .p = text, .known = known,
                        .conditions = arena_array(a, CONDITIONS_MAX, sizeof(*s.conditions)) };

    if (strlen(text) > FILTER_MAX_BYTES)
        return refuse(&s, err);
    if (parse_expression(&s, err))
        return -1;
    skip_space(&s);
    if (*s.p)
        return refuse(&s, err);
    *ret = (struct filter_conditions){ s.conditions, s.count };
    return 0;
}

bool filter_holds(struct arena *a, const struct filter_conditions *conditions,
                  const struct json_object *shown)
{
    for (size_t i = 0; i < conditions->count; i++) {
        const struct filter_condition *c = &conditions->items[i];
        const struct json_object *value = json_at(shown, c->path);
        const char *text = json_kind(value) == JSON_TEXT ? json_text(value, "")
                           : value                       ? json_print(a, value)
                                                         : "";

        if (!(c->is_part ? strcasestr(text, c->value) != NULL : text_eq_nocase(text, c->value)))
            return false;
    }
    return true;
}
