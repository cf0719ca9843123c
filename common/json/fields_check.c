/* Checking an object against its table. Every violation is found, though at most DETAILS_MAX are
 * kept, because a client can make a list of a hundred thousand wrong items. Read-only rows are
 * passed over: what a client sends there is ignored. */
#include "common/json/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/pattern.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/json/json_c.h"

#define DETAILS_MAX    100
#define SHOWN_MAX      64
#define FIELD_TEXT_MAX 4096 /* bytes of a text whose row gives no maximum */

struct check {
    struct arena *a;
    const struct error_code *code;
    bool is_whole;
    size_t violations;
    struct error_detail *first;
    struct error_detail **last;
};

static void PRINTF_LIKE(3, 4) violate(struct check *c, const char *target, const char *fmt, ...)
{
    va_list ap;

    if (++c->violations > DETAILS_MAX)
        return;
    struct error_detail *detail = ARENA_NEW(c->a, struct error_detail);
    va_start(ap, fmt);
    detail->message = arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    detail->code = c->code;
    detail->target = target;
    *c->last = detail;
    c->last = &detail->next;
}

/* A value for a message: in quotes, or left out when it is secret, long or not fit to be shown. */
static const char *shown(struct check *c, const struct field *f, const char *value)
{
    if ((f->flags & FIELD_SECRET) || strlen(value) > SHOWN_MAX)
        return "";
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20)
            return "";
    return arena_printf(c->a, " '%s'", value);
}

/* "'Basic', 'Standard', 'Premium'" */
static const char *list_allowed(struct check *c, const char *const *oneof)
{
    _cleanup_(str_done) struct str text;

    str_init(&text, 512);
    for (size_t i = 0; oneof[i]; i++)
        str_printf(&text, "%s'%s'", i ? ", " : "", oneof[i]);
    return str_copy(&text, c->a);
}

static void check_oneof(struct check *c, const struct field *f, const char *target,
                        struct json_object *value)
{
    const char *text = json_text(value, "");

    for (size_t i = 0; f->oneof[i]; i++) {
        if (text_eq(text, f->oneof[i]))
            return;
        if ((f->flags & FIELD_NOCASE) && text_eq_nocase(text, f->oneof[i])) {
            if (json_object_set_string(value, f->oneof[i]) == 0)
                abort(); /* out of memory */
            return;
        }
    }
    violate(c, target, "The value%s of '%s' is not one of the allowed values: %s.",
            shown(c, f, text), target, list_allowed(c, f->oneof));
}

/* One text: a FIELD_TEXT, or an item of a list or map, whose length the row does not give. */
static void check_text(struct check *c, const struct field *f, const char *target,
                       struct json_object *value)
{
    const char *text = json_text(value, "");
    int64_t max = f->kind == FIELD_TEXT && f->max != 0 ? f->max : FIELD_TEXT_MAX;
    int64_t min = f->kind == FIELD_TEXT ? f->min : 0;

    if (!text) {
        violate(c, target, "The value of '%s' must be a string.", target);
        return;
    }
    int64_t len = (int64_t)strlen(text);
    if (len > max)
        violate(c, target, "The value of '%s' is longer than %lld bytes.", target, (long long)max);
    else if (len < min)
        violate(c, target, "The value of '%s' is shorter than %lld bytes.", target, (long long)min);
    else if (f->oneof)
        check_oneof(c, f, target, value);
    else if (f->pattern && !pattern_matches(f->pattern, text))
        violate(c, target, "The value%s of '%s' does not match the pattern '%s'.",
                shown(c, f, text), target, f->pattern);
}

static void check_int(struct check *c, const struct field *f, const char *target,
                      const struct json_object *value)
{
    int64_t n = json_int(value, "", 0);
    bool has_range = f->min != 0 || f->max != 0;

    if (json_kind(value) != JSON_INT)
        violate(c, target, "The value of '%s' must be an integer.", target);
    else if (has_range && (n < f->min || n > f->max))
        violate(c, target, "The value of '%s' must be between %lld and %lld.", target,
                (long long)f->min, (long long)f->max);
}

static void check_time(struct check *c, const char *target, const struct json_object *value)
{
    int64_t wall_us;

    if (!clock_parse(json_text(value, ""), &wall_us))
        violate(c, target, "The value of '%s' must be a date and time as RFC 3339 has it.", target);
}

static bool check_count(struct check *c, const struct field *f, const char *target,
                        const struct json_object *value)
{
    int64_t count = (int64_t)json_count(value);

    if (f->max != 0 && count > f->max)
        violate(c, target, "'%s' has more than %lld entries.", target, (long long)f->max);
    else if (count < f->min)
        violate(c, target, "'%s' has fewer than %lld entries.", target, (long long)f->min);
    else
        return true;
    return false;
}

static void check_table(struct check *c, const struct field *table, const char *prefix,
                        struct json_object *object);

static void check_list(struct check *c, const struct field *f, const char *target,
                       const struct json_object *list)
{
    if (json_kind(list) != JSON_ARRAY) {
        violate(c, target, "The value of '%s' must be a list.", target);
        return;
    }
    if (!check_count(c, f, target, list))
        return;
    for (size_t i = 0; i < json_count(list) && c->violations <= DETAILS_MAX; i++) {
        const char *at = arena_printf(c->a, "%s[%zu]", target, i);
        struct json_object *item = json_item(list, i);
        if (f->kind == FIELD_TEXT_LIST)
            check_text(c, f, at, item);
        else if (json_kind(item) == JSON_OBJECT)
            check_table(c, f->of, arena_printf(c->a, "%s.", at), item);
        else
            violate(c, at, "The value of '%s' must be an object.", at);
    }
}

struct map_check {
    struct check *c;
    const struct field *f;
    const char *target;
};

static void check_map_member(void *ctx, const char *key, struct json_object *value)
{
    struct map_check *m = ctx;

    if (m->c->violations > DETAILS_MAX)
        return;
    if (strlen(key) > FIELD_TEXT_MAX)
        violate(m->c, m->target, "A name in '%s' is longer than %d bytes.", m->target,
                FIELD_TEXT_MAX);
    else
        check_text(m->c, m->f, arena_printf(m->c->a, "%s.%s", m->target, key), value);
}

static void check_map(struct check *c, const struct field *f, const char *target,
                      const struct json_object *map)
{
    struct map_check m = { c, f, target };

    if (json_kind(map) != JSON_OBJECT)
        violate(c, target, "The value of '%s' must be an object.", target);
    else if (check_count(c, f, target, map))
        json_each(map, check_map_member, &m);
}

static void check_value(struct check *c, const struct field *f, const char *target,
                        struct json_object *value)
{
    switch (f->kind) {
    case FIELD_TEXT:
        check_text(c, f, target, value);
        break;
    case FIELD_BOOL:
        if (json_kind(value) != JSON_BOOL)
            violate(c, target, "The value of '%s' must be true or false.", target);
        break;
    case FIELD_INT:
        check_int(c, f, target, value);
        break;
    case FIELD_TIME:
        check_time(c, target, value);
        break;
    case FIELD_TEXT_LIST:
    case FIELD_LIST:
        check_list(c, f, target, value);
        break;
    case FIELD_TEXT_MAP:
        check_map(c, f, target, value);
        break;
    case FIELD_JSON:
    case FIELD_KIND_MAX:
        break;
    }
}

/* Whether a row before `f` has the same first `len` bytes of path, so that what is wrong there has
 * been said. */
static bool is_seen_above(const struct field *table, const struct field *f, size_t len)
{
    for (; table < f; table++)
        if (!(table->flags & FIELD_READ_ONLY) && strncmp(table->path, f->path, len + 1) == 0)
            return true;
    return false;
}

/* Every member above the row has to be an object. Says so once per member; false: give up on the
 * row. A null is as good as absent. */
static bool check_above(struct check *c, const struct field *table, const struct field *f,
                        const char *prefix, const struct json_object *object)
{
    for (const char *dot = strchr(f->path, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t)(dot - f->path);
        const char *path = arena_strndup(c->a, f->path, len);
        const struct json_object *above = json_at(object, path);
        if (!above || json_kind(above) == JSON_OBJECT)
            continue;
        const char *target = arena_printf(c->a, "%s%s", prefix, path);
        if (!is_seen_above(table, f, len))
            violate(c, target, "The value of '%s' must be an object.", target);
        return false;
    }
    return true;
}

static void check_table(struct check *c, const struct field *table, const char *prefix,
                        struct json_object *object)
{
    for (const struct field *f = table; f->path; f++) {
        if (f->flags & FIELD_READ_ONLY)
            continue;
        if (!check_above(c, table, f, prefix, object))
            continue;
        const char *target = *prefix ? arena_printf(c->a, "%s%s", prefix, f->path) : f->path;
        struct json_object *value = json_at(object, f->path);
        bool is_null = !value && json_has(object, f->path) && (f->flags & FIELD_NULLABLE);
        /* An item of a list is whole even where the object around it is a patch: lists are
         * replaced, never merged. */
        bool is_whole = c->is_whole || *prefix;
        if (value)
            check_value(c, f, target, value);
        else if (!is_null && is_whole && (f->flags & FIELD_REQUIRED))
            violate(c, target, "'%s' is required.", target);
    }
}

int fields_check(struct arena *a, const struct field *table, struct json_object *object,
                 bool is_whole, const struct error_code *code, struct error *err)
{
    struct check c = { .a = a, .code = code, .is_whole = is_whole };

    c.last = &c.first;
    check_table(&c, table, "", object);
    if (!c.first)
        return 0;
    (void)fail_at(err, code, c.first->target, "%s", c.first->message);
    err->details = c.first;
    return -1;
}
