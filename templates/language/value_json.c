/* Between template values and json-c: import with positions, export for plans and request bodies,
 * and printing as JSON or as an expression. */
#include "templates/language/value.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/json/json.h"
#include "templates/language/expression.h"
#include "templates/language/source.h"

struct importer {
    struct arena *arena;
    const struct source *source; /* NULL: no positions */
    size_t offset;
    /* the object whose members are being walked */
    struct member *members;
    size_t count;
};

static const struct value *import_value(struct importer *im, const struct json_object *json);

static void step(struct importer *im)
{
    if (im->source)
        im->offset = source_skip_space(im->source, im->offset);
}

/* Past one punctuation character. */
static void step_over(struct importer *im)
{
    step(im);
    if (im->source && im->offset < im->source->len)
        im->offset++;
}

static uint32_t here(struct importer *im)
{
    step(im);
    return im->source ? (uint32_t)im->offset + 1 : 0;
}

static void import_member(void *ctx, const char *key, struct json_object *json)
{
    struct importer *im = ctx;
    struct member *m = &im->members[im->count++];
    m->key_len = (uint32_t)strlen(key);
    m->key = arena_strndup(im->arena, key, m->key_len);
    m->key_at = here(im);
    if (im->source)
        im->offset = source_skip_scalar(im->source, im->offset);
    step_over(im); /* : */
    struct member *outer = im->members;
    size_t outer_count = im->count;
    m->value = import_value(im, json);
    im->members = outer;
    im->count = outer_count;
    step_over(im); /* , or } */
}

static const struct value *import_object(struct importer *im, const struct json_object *json)
{
    size_t count = json_count(json);
    step_over(im);
    im->members = arena_array(im->arena, count ? count : 1, sizeof(*im->members));
    im->count = 0;
    struct member *members = im->members;
    json_each(json, import_member, im);
    if (!count)
        step_over(im);
    return value_object(im->arena, members, count);
}

static const struct value *import_array(struct importer *im, const struct json_object *json)
{
    size_t count = json_count(json);
    const struct value **items = arena_array(im->arena, count ? count : 1, sizeof(*items));
    step_over(im);
    for (size_t i = 0; i < count; i++) {
        items[i] = import_value(im, json_item(json, i));
        step_over(im); /* , or ] */
    }
    if (!count)
        step_over(im);
    return value_array(im->arena, items, count);
}

static const struct value *import_text(struct arena *a, const struct json_object *json)
{
    const char *s = json_text(json, "");
    size_t len = strlen(s);
    struct value *v = arena_alloc(a, sizeof(*v));
    v->kind = VALUE_TEXT;
    v->text = arena_strndup(a, s, len);
    v->count = (uint32_t)len;
    v->size = (uint32_t)(sizeof(*v) + len);
    if (len && s[0] == '[') {
        v->cell = ARENA_NEW(a, struct expr_cell);
        v->marks = MARK_CODE;
    }
    return v;
}

static const struct value *import_scalar(struct importer *im, const struct json_object *json)
{
    switch (json_kind(json)) {
    case JSON_BOOL:
        return value_bool(json_bool(json, "", false));
    case JSON_INT:
        return value_int(im->arena, json_int(json, "", 0));
    case JSON_DOUBLE:
        return value_float(im->arena, json_print(im->arena, json));
    case JSON_TEXT:
        return import_text(im->arena, json);
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
    case JSON_KIND_MAX:
        break;
    }
    return &value_null;
}

static const struct value *import_value(struct importer *im, const struct json_object *json)
{
    uint32_t at = here(im);
    const struct value *v;
    enum json_kind kind = json_kind(json);
    if (kind == JSON_OBJECT) {
        v = import_object(im, json);
    } else if (kind == JSON_ARRAY) {
        v = import_array(im, json);
    } else {
        v = import_scalar(im, json);
        if (im->source)
            im->offset = source_skip_scalar(im->source, im->offset);
    }
    if (!at || kind == JSON_BOOL || kind == JSON_NULL) /* these are shared */
        return at ? value_at(im->arena, v, at) : v;
    ((struct value *)v)->at = at; /* made just now, seen by nobody else */
    return v;
}

const struct value *value_import(struct arena *a, const struct json_object *json,
                                 const struct source *source)
{
    struct importer im = { .arena = a, .source = source };
    return import_value(&im, json);
}

static struct json_object *export_text(const struct value *v, enum value_export how)
{
    bool looks = v->count >= 2 && v->text[0] == '[' && v->text[v->count - 1] == ']';
    if (how == EXPORT_FINAL || !looks)
        return json_new_text_len(v->text, v->count);
    struct str s;
    str_init(&s, (size_t)v->count + 2);
    str_putc(&s, '[');
    str_append(&s, v->text, v->count);
    struct json_object *json = json_new_text_len(s.data, s.len);
    str_done(&s);
    return json;
}

static void export_member(struct json_object *json, const struct member *m, enum value_export how)
{
    bool looks = m->key_len >= 2 && m->key[0] == '[' && m->key[m->key_len - 1] == ']';
    if (how == EXPORT_FINAL || !looks || m->is_code) {
        json_set(json, m->key, value_export(m->value, how));
        return;
    }
    struct str s;
    str_init(&s, (size_t)m->key_len + 2);
    str_putc(&s, '[');
    str_append(&s, m->key, m->key_len);
    json_set(json, s.data, value_export(m->value, how));
    str_done(&s);
}

static struct json_object *export_deferred(const struct value *v)
{
    struct str s;
    str_init(&s, (size_t)v->count + 3);
    str_putc(&s, '[');
    str_append(&s, v->text, v->count);
    str_putc(&s, ']');
    struct json_object *json = json_new_text_len(s.data, s.len);
    str_done(&s);
    return json;
}

static struct json_object *export_float(const struct value *v)
{
    struct json_object *json = NULL;
    struct error err;
    if (json_parse(v->text, v->count, 64, JSON_STRICT, &json, &err) < 0)
        return json_new_int(0);
    return json;
}

struct json_object *value_export(const struct value *v, enum value_export how)
{
    if (how == EXPORT_REDACT && (v->marks & MARK_SECURE))
        return NULL;
    struct json_object *json = NULL;
    switch ((enum value_kind)v->kind) {
    case VALUE_NULL:
    case VALUE_KIND_MAX:
        break;
    case VALUE_BOOL:
        return json_new_bool(v->boolean);
    case VALUE_INT:
        return json_new_int(v->integer);
    case VALUE_FLOAT:
        return export_float(v);
    case VALUE_TEXT:
        return export_text(v, how);
    case VALUE_DEFERRED:
        return export_deferred(v);
    case VALUE_ARRAY:
        json = json_new_array();
        for (size_t i = 0; i < v->count; i++)
            json_add(json, value_export(v->items[i], how));
        break;
    case VALUE_OBJECT:
        json = json_new_object();
        for (size_t i = 0; i < v->count; i++)
            export_member(json, &v->members[i], how);
        break;
    }
    return json;
}

static void print_escape(struct str *out, unsigned char c)
{
    static const char plain[] = "\b\f\n\r\t", letters[] = "bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    if (at)
        str_printf(out, "\\%c", letters[at - plain]);
    else if (c < 0x20)
        str_printf(out, "\\u%04x", c);
    else
        str_printf(out, "\\%c", c);
}

static void print_text(struct str *out, const char *s, size_t len, char quote)
{
    size_t from = 0;
    str_putc(out, quote);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != (unsigned char)quote && c != '\\')
            continue;
        str_append(out, s + from, i - from);
        print_escape(out, c);
        from = i + 1;
    }
    str_append(out, s + from, len - from);
    str_putc(out, quote);
}

static void print_object(struct str *out, const struct value *v, char quote)
{
    str_putc(out, '{');
    for (size_t i = 0; i < v->count; i++) {
        if (i)
            str_putc(out, ',');
        print_text(out, v->members[i].key, v->members[i].key_len, quote);
        str_putc(out, ':');
        value_print(out, v->members[i].value, quote);
    }
    str_putc(out, '}');
}

void value_print(struct str *out, const struct value *v, char quote)
{
    switch ((enum value_kind)v->kind) {
    case VALUE_NULL:
    case VALUE_KIND_MAX:
        str_puts(out, "null");
        break;
    case VALUE_BOOL:
        str_puts(out, v->boolean ? "true" : "false");
        break;
    case VALUE_INT:
        str_printf(out, "%lld", (long long)v->integer);
        break;
    case VALUE_FLOAT:
        str_append(out, v->text, v->count);
        break;
    case VALUE_TEXT:
        print_text(out, v->text, v->count, quote);
        break;
    case VALUE_DEFERRED:
        str_puts(out, "\"[");
        str_append(out, v->text, v->count);
        str_puts(out, "]\"");
        break;
    case VALUE_ARRAY:
        str_putc(out, '[');
        for (size_t i = 0; i < v->count; i++) {
            if (i)
                str_putc(out, ',');
            value_print(out, v->items[i], quote);
        }
        str_putc(out, ']');
        break;
    case VALUE_OBJECT:
        print_object(out, v, quote);
        break;
    }
}

static void print_quoted(struct str *out, const char *s, size_t len)
{
    str_putc(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\'')
            str_putc(out, '\'');
        str_putc(out, s[i]);
    }
    str_putc(out, '\'');
}

static void print_literal_items(struct str *out, const struct value *v)
{
    str_puts(out, v->kind == VALUE_ARRAY ? "createArray(" : "createObject(");
    for (size_t i = 0; i < v->count; i++) {
        if (i)
            str_puts(out, ", ");
        if (v->kind == VALUE_OBJECT) {
            if (v->members[i].is_code)
                str_append(out, v->members[i].key + 1, v->members[i].key_len - 2);
            else
                print_quoted(out, v->members[i].key, v->members[i].key_len);
            str_puts(out, ", ");
            value_print_literal(out, v->members[i].value);
        } else {
            value_print_literal(out, v->items[i]);
        }
    }
    str_putc(out, ')');
}

void value_print_literal(struct str *out, const struct value *v)
{
    switch ((enum value_kind)v->kind) {
    case VALUE_NULL:
    case VALUE_KIND_MAX:
        str_puts(out, "null()");
        break;
    case VALUE_BOOL:
        str_puts(out, v->boolean ? "true()" : "false()");
        break;
    case VALUE_INT:
        str_printf(out, "%lld", (long long)v->integer);
        break;
    case VALUE_FLOAT:
        str_printf(out, "json('%.*s')", (int)v->count, v->text);
        break;
    case VALUE_TEXT:
        print_quoted(out, v->text, v->count);
        break;
    case VALUE_DEFERRED:
        str_append(out, v->text, v->count);
        break;
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        print_literal_items(out, v);
        break;
    }
}
