/* Masking secrets: see the header. */
#include "controlplane/deployments/secrets.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"
#include "templates/language/value.h"

#define SECRET_MIN_LEN 5
#define SECRETS_MAX 5000
#define MASK "*******"

static void add_member(void *ctx, const char *key, struct json_object *value)
{
    (void)key;
    secrets_add(ctx, value);
}

static void add_text(struct secrets *s, const char *text)
{
    if (!text[0])
        return;
    for (size_t i = 0; i < s->count; i++)
        if (text_eq(s->items[i], text))
            return;
    if (s->count == SECRETS_MAX) {
        s->is_full = true;
        return;
    }
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        const char **bigger = arena_array(s->arena, cap, sizeof(*bigger));

        if (s->count)
            memcpy(bigger, s->items, s->count * sizeof(*bigger));
        s->items = bigger;
        s->cap = cap;
    }
    s->items[s->count++] = arena_strdup(s->arena, text);
}

void secrets_add(struct secrets *s, const struct json_object *value)
{
    if (json_kind(value) == JSON_TEXT)
        add_text(s, json_text(value, ""));
    else if (json_kind(value) == JSON_OBJECT)
        json_each(value, add_member, s);
    else if (json_kind(value) == JSON_ARRAY)
        for (size_t i = 0; i < json_count(value); i++)
            secrets_add(s, json_item(value, i));
}

static void add_marked(struct secrets *s, const struct value *v, bool is_secure)
{
    is_secure = is_secure || (v->marks & MARK_SECURE);
    if (!is_secure && !(v->marks & MARK_SECURE_INSIDE))
        return;
    if (v->kind == VALUE_TEXT && is_secure)
        add_text(s, v->text);
    for (size_t i = 0; v->kind == VALUE_ARRAY && i < v->count; i++)
        add_marked(s, v->items[i], is_secure);
    for (size_t i = 0; v->kind == VALUE_OBJECT && i < v->count; i++)
        add_marked(s, v->members[i].value, is_secure);
}

void secrets_add_marked(struct secrets *s, const struct value *value)
{
    add_marked(s, value, false);
}

static char *mask(struct arena *a, const char *text, const char *secret)
{
    size_t len = strlen(secret);
    struct str out;
    const char *at;
    char *copy;

    str_init(&out, strlen(text) * 8 + 16);
    while ((at = strstr(text, secret)) != NULL) {
        str_append(&out, text, (size_t)(at - text));
        str_puts(&out, MASK);
        text = at + len;
    }
    str_puts(&out, text);
    copy = str_copy(&out, a);
    str_done(&out);
    return copy;
}

struct scrub {
    const struct secrets *secrets;
    struct arena *arena;
    struct json_object *out;
};

static struct json_object *scrubbed(struct scrub *s, const struct json_object *value);

static const char *scrub_short(struct scrub *s, const char *text, const char *secret)
{
    if (secret_equal_text(text, secret))
        return MASK;
    for (const char *quote = "'\""; *quote; quote++) {
        const char *quoted = arena_printf(s->arena, "%c%s%c", *quote, secret, *quote);

        if (strstr(text, quoted))
            text = mask(s->arena, text, quoted);
    }
    return text;
}

static const char *scrub_text(struct scrub *s, const char *text, bool is_key)
{
    if (s->secrets->is_full && !is_key)
        return MASK;
    for (size_t i = 0; i < s->secrets->count; i++) {
        const char *secret = s->secrets->items[i];

        if (!strstr(text, secret))
            continue;
        if (strlen(secret) >= SECRET_MIN_LEN)
            text = mask(s->arena, text, secret);
        else if (!is_key) /* which may be a name of the answer's own */
            text = scrub_short(s, text, secret);
    }
    return text;
}

static void scrub_member(void *ctx, const char *key, struct json_object *value)
{
    struct scrub *s = ctx;
    struct json_object *out = s->out;
    struct json_object *inner = scrubbed(s, value);

    s->out = out;
    json_set(out, scrub_text(s, key, true), inner);
}

/* The caller's reference. */
static struct json_object *scrubbed(struct scrub *s, const struct json_object *value)
{
    struct json_object *out;

    if (json_kind(value) == JSON_TEXT)
        return json_new_text(scrub_text(s, json_text(value, ""), false));
    if (json_kind(value) == JSON_OBJECT) {
        out = s->out = json_new_object();
        json_each(value, scrub_member, s);
        return out;
    }
    if (json_kind(value) == JSON_ARRAY) {
        out = json_new_array();
        for (size_t i = 0; i < json_count(value); i++)
            json_add(out, scrubbed(s, json_item(value, i)));
        return out;
    }
    return value ? json_copy(value) : NULL;
}

struct json_object *secrets_scrub(const struct secrets *s, struct arena *a,
                                  struct json_object *value)
{
    struct scrub scrub = { .secrets = s, .arena = a };

    if (!value || s->count == 0)
        return value;
    return json_own(a, scrubbed(&scrub, value));
}

struct json_object *secrets_json(const struct secrets *s)
{
    struct json_object *list = json_new_array();

    for (size_t i = 0; i < s->count; i++)
        json_add_text(list, s->items[i]);
    return list;
}
