/* From a checked object to a C struct, row by row. A value of the wrong kind here means that the
 * object was not checked (or that what was stored is damaged): our fault, not the client's. */
#include "common/json/fields.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"

static int wrong_kind(const struct field *f, struct error *err)
{
    return fail_cause(err, &E_INTERNAL, "decode %s: the value is of another kind", f->path);
}

static int decode_text(struct arena *a, const struct field *f, const struct json_object *value,
                       char **ret, struct error *err)
{
    const char *text = json_text(value, "");

    if (!text)
        return wrong_kind(f, err);
    *ret = arena_strdup(a, text);
    return 0;
}

static int decode_texts(struct arena *a, const struct field *f, const struct json_object *list,
                        struct field_texts *ret, struct error *err)
{
    if (json_kind(list) != JSON_ARRAY)
        return wrong_kind(f, err);
    size_t count = json_count(list);
    char **items = arena_array(a, count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++)
        if (decode_text(a, f, json_item(list, i), &items[i], err) < 0)
            return -1;
    *ret = (struct field_texts){ items, count };
    return 0;
}

static int decode_list(struct arena *a, const struct field *f, const struct json_object *list,
                       struct field_list *ret, struct error *err)
{
    if (json_kind(list) != JSON_ARRAY)
        return wrong_kind(f, err);
    size_t count = json_count(list);
    char *items = arena_array(a, count + 1, f->of_size);
    for (size_t i = 0; i < count; i++) {
        const struct json_object *item = json_item(list, i);
        if (json_kind(item) != JSON_OBJECT)
            return wrong_kind(f, err);
        if (fields_decode(a, f->of, item, items + i * f->of_size, err) < 0)
            return wrap(err, "%s[%zu]", f->path, i);
    }
    *ret = (struct field_list){ items, count };
    return 0;
}

static int decode_row(struct arena *a, const struct field *f, const struct json_object *value,
                      void *at, struct error *err)
{
    enum json_kind kind = json_kind(value);

    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_TIME:
        return decode_text(a, f, value, at, err);
    case FIELD_BOOL:
        *(bool *)at = json_bool(value, "", false);
        return kind == JSON_BOOL ? 0 : wrong_kind(f, err);
    case FIELD_INT:
        *(int64_t *)at = json_int(value, "", 0);
        return kind == JSON_INT ? 0 : wrong_kind(f, err);
    case FIELD_TEXT_LIST:
        return decode_texts(a, f, value, at, err);
    case FIELD_LIST:
        return decode_list(a, f, value, at, err);
    case FIELD_TEXT_MAP:
        if (kind != JSON_OBJECT)
            return wrong_kind(f, err);
        __attribute__((fallthrough));
    case FIELD_JSON:
        /* A copy: the object may be shared with other threads, and reference counts are not
         * atomic. */
        *(struct json_object **)at = json_own(a, json_copy(value));
        return 0;
    case FIELD_KIND_MAX:
        break;
    }
    return wrong_kind(f, err);
}

int fields_decode(struct arena *a, const struct field *table, const struct json_object *object,
                  void *out, struct error *err)
{
    for (const struct field *f = table; f->path; f++) {
        const struct json_object *value = json_at(object, f->path);
        if (!value || f->offset == FIELD_NO_OFFSET)
            continue;
        if (decode_row(a, f, value, (char *)out + f->offset, err) < 0)
            return -1;
    }
    return 0;
}
