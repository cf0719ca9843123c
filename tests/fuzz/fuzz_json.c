/* The JSON door, both modes: whatever is accepted prints to a text that is accepted again, in
 * strict mode, and means and prints the same. Then a field table is run over it. */
/* links: portolan_base portolan_json */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/fields.h"
#include "common/json/json.h"

#define INPUT_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct item {
    char *name;
    int64_t n;
};

struct thing {
    char *text;
    int64_t n;
    bool is_on;
    char *at;
    struct field_texts list;
    struct json_object *map;
    struct json_object *any;
    struct field_list items;
};

static const char *const allowed[] = { "Allow", "Deny", NULL };

static const struct field item_rows[] = {
    { "name", FIELD_TEXT, FIELD_RW | FIELD_REQUIRED, offsetof(struct item, name),
      .pattern = "[a-z]{1,5}" },
    { "n", FIELD_INT, FIELD_RW, offsetof(struct item, n), .def = "3", .min = 1, .max = 5 },
    { 0 },
};

static const struct field rows[] = {
    { "a", FIELD_TEXT, FIELD_RW | FIELD_NOCASE, offsetof(struct thing, text), .oneof = allowed },
    { "p.n", FIELD_INT, FIELD_RW, offsetof(struct thing, n), .def = "1" },
    { "p.on", FIELD_BOOL, FIELD_RW, offsetof(struct thing, is_on) },
    { "p.at", FIELD_TIME, FIELD_RW | FIELD_NULLABLE, offsetof(struct thing, at) },
    { "p.list", FIELD_TEXT_LIST, FIELD_RW, offsetof(struct thing, list), .max = 5 },
    { "p.map", FIELD_TEXT_MAP, FIELD_RW, offsetof(struct thing, map), .max = 5 },
    { "p.any", FIELD_JSON, FIELD_RW | FIELD_SECRET, offsetof(struct thing, any) },
    { "p.items", FIELD_LIST, FIELD_RW, offsetof(struct thing, items), .max = 5, .of = item_rows,
      .of_size = sizeof(struct item) },
    { 0 },
};

static void must(int is_true)
{
    if (!is_true)
        abort();
}

static void check_round_trip(struct arena *a, struct json_object *value, enum json_mode mode)
{
    struct json_object *again = NULL;
    struct error err = { 0 };
    size_t len;
    char *text = json_print_len(a, value, &len);

    must(strlen(text) == len);
    if (json_parse(text, len, SIZE_MAX, JSON_STRICT, &again, &err) < 0) {
        /* Only templates may nest deeper than strict text. */
        must(mode == JSON_TEMPLATE && strstr(err.message, "nesting") != NULL);
        return;
    }
    (void)json_own(a, again);
    must(json_equal(value, again));
    must(strcmp(json_print(a, again), text) == 0);
    must(json_equal(json_own(a, json_copy(again)), value));
}

static void check_fields(struct arena *a, struct json_object *object)
{
    struct thing thing = { 0 };
    struct error err = { 0 };
    char **paths;

    (void)fields_unknown(a, rows, object, &paths);
    if (fields_check(a, rows, object, true, &E_INVALID, &err) < 0) {
        must(err.code == &E_INVALID && err.details != NULL && err.message[0] != '\0');
        return;
    }
    fields_default(rows, object);
    must(fields_check(a, rows, object, true, &E_INVALID, &err) == 0);
    must(fields_decode(a, rows, object, &thing, &err) == 0);
    must(thing.n != 0 || json_int(object, "p.n", 1) == 0);
    fields_strip(rows, object, FIELD_SECRET);
    must(!json_has(object, "p.any"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int mode = 0; mode < JSON_MODE_MAX; mode++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct json_object *value = NULL;
        struct error err = { 0 };
        if (json_parse((const char *)data, size, INPUT_MAX, (enum json_mode)mode, &value, &err) <
            0) {
            must(value == NULL && err.code != NULL && err.code != &E_INTERNAL);
            continue;
        }
        (void)json_own(a, value);
        check_round_trip(a, value, (enum json_mode)mode);
        if (json_kind(value) != JSON_OBJECT)
            continue;
        struct json_object *patched = json_own(a, json_copy(value));
        json_merge_patch(patched, value);
        check_fields(a, value);
    }
    return 0;
}
