/* Places as paths: values know where they begin, so the way to a place is the way past every value
 * that begins before it. Made only for errors. */
#include "templates/language/path.h"

#include "common/base/arena.h"
#include "common/base/str.h"
#include "templates/language/value.h"

#define PATH_MAX_BYTES 2000

/* The last child that begins at or before the place; its name is put to out. */
static const struct value *step(struct str *out, const struct value *v, uint32_t at)
{
    const struct value *found = NULL;
    size_t index = 0;
    for (size_t i = 0; v->kind == VALUE_ARRAY && i < v->count; i++) {
        if (!v->items[i]->at || v->items[i]->at > at)
            break;
        found = v->items[i];
        index = i;
    }
    if (found)
        str_printf(out, "[%zu]", index);
    const struct member *m = NULL;
    for (size_t i = 0; v->kind == VALUE_OBJECT && i < v->count; i++) {
        if (!v->members[i].key_at || v->members[i].key_at > at)
            break;
        m = &v->members[i];
    }
    if (!m)
        return found;
    str_printf(out, "%s%s", out->len ? "." : "", m->key);
    return m->value;
}

char *path_at(struct arena *a, const struct value *root, uint32_t at)
{
    struct str path;
    str_init(&path, PATH_MAX_BYTES);
    for (const struct value *v = at ? root : NULL; v && v->at != at;)
        v = step(&path, v, at);
    char *copy = str_copy(&path, a);
    str_done(&path);
    return copy;
}
