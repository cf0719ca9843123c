/* What the library hands to its callers: errors, and text that outlives the arena. */
#include "sdk/src/internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

/* What is asked for may be long; a path is not. */
#define PATH_MAX_BYTES 1024

static void copy(char *to, size_t cap, const char *from)
{
    size_t len = strnlen(from, cap - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

int sdk_report(const struct error *from, struct portolan_error *err)
{
    bool is_ours = from->code == &E_UNAVAILABLE || from->code == &E_TIMEOUT;

    if (!err)
        return -1;
    *err = (struct portolan_error){ .status = from->code->status };
    copy(err->code, sizeof(err->code), from->code->name);
    copy(err->message, sizeof(err->message), from->message);
    copy(err->target, sizeof(err->target), from->target);
    /* Whoever runs the client may know why the service cannot be reached. */
    if (is_ours && from->cause[0])
        copy(err->message, sizeof(err->message), from->cause);
    if (is_ours)
        err->status = 0;
    return -1;
}

int sdk_give(const char *text, char **ret)
{
    if (!ret)
        return 0;
    *ret = strdup(text ? text : "");
    if (!*ret)
        abort();
    return 0;
}

void portolan_free(void *text)
{
    free(text);
}

const char *portolan_version(void)
{
    return PORTOLAN_VERSION;
}

static struct json_object *step(struct json_object *at, const char *name)
{
    uint64_t index;

    if (json_kind(at) != JSON_ARRAY)
        return json_kind(at) == JSON_OBJECT ? json_at(at, name) : NULL;
    return text_parse_u64(name, &index) && index < json_count(at) ? json_item(at, index) : NULL;
}

char *portolan_text(const char *json, const char *path)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(json_putp) struct json_object *whole = NULL;
    struct json_object *at;
    struct error ignored;
    char **names, *out = NULL;
    size_t count;

    if (!json || strnlen(path, PATH_MAX_BYTES) == PATH_MAX_BYTES ||
        json_parse(json, strlen(json), SDK_REPLY_MAX_BYTES, JSON_STRICT, &whole, &ignored))
        return NULL;
    at = whole;
    count = *path ? text_split(a, path, '.', &names) : 0;
    for (size_t i = 0; i < count && at; i++)
        at = step(at, names[i]);
    if (!at)
        return NULL;
    (void)sdk_give(json_kind(at) == JSON_TEXT ? json_text(at, "") : json_print(a, at), &out);
    return out;
}
