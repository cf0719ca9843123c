/* Building, reading and comparing the immutable values of the template language. */
#include "templates/language/value.h"

#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"

/* What a walk over one of these costs. */
#define SHARED_SIZE sizeof(struct value)

const struct value value_null = { .kind = VALUE_NULL, .size = SHARED_SIZE };
const struct value value_true = { .kind = VALUE_BOOL, .boolean = true, .size = SHARED_SIZE };
const struct value value_false = { .kind = VALUE_BOOL, .boolean = false, .size = SHARED_SIZE };
const struct value value_empty_text = { .kind = VALUE_TEXT, .text = "", .size = SHARED_SIZE };
const struct value value_empty_array = { .kind = VALUE_ARRAY, .depth = 1, .size = SHARED_SIZE };
const struct value value_empty_object = { .kind = VALUE_OBJECT, .depth = 1, .size = SHARED_SIZE };

static const char *const kind_names[VALUE_KIND_MAX] = {
    [VALUE_NULL] = "Null",     [VALUE_BOOL] = "Boolean",      [VALUE_INT] = "Integer",
    [VALUE_FLOAT] = "Float",   [VALUE_TEXT] = "String",       [VALUE_ARRAY] = "Array",
    [VALUE_OBJECT] = "Object", [VALUE_DEFERRED] = "Deferred",
};

static struct value *value_new(struct arena *a, enum value_kind kind)
{
    struct value *v = ARENA_NEW(a, struct value);
    v->kind = (uint8_t)kind;
    v->size = sizeof(*v);
    return v;
}

/* Saturates: beyond the limit it does not matter by how much. */
static void grow(struct value *v, size_t bytes)
{
    size_t sum = v->size + bytes;
    v->size = sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

const struct value *value_bool(bool b)
{
    return b ? &value_true : &value_false;
}

const struct value *value_int(struct arena *a, int64_t n)
{
    struct value *v = value_new(a, VALUE_INT);
    v->integer = n;
    return v;
}

const struct value *value_float(struct arena *a, const char *spelling)
{
    struct value *v = value_new(a, VALUE_FLOAT);
    v->text = arena_strdup(a, spelling);
    v->count = (uint32_t)strlen(spelling);
    grow(v, v->count);
    return v;
}

const struct value *value_text_own(struct arena *a, const char *s, size_t len)
{
    struct value *v = value_new(a, VALUE_TEXT);
    v->text = s;
    v->count = (uint32_t)len;
    grow(v, len);
    return v;
}

const struct value *value_text_len(struct arena *a, const char *s, size_t len)
{
    return len ? value_text_own(a, arena_strndup(a, s, len), len) : &value_empty_text;
}

const struct value *value_text(struct arena *a, const char *s)
{
    return value_text_len(a, s, strlen(s));
}

const struct value *value_deferred(struct arena *a, const char *text, size_t len)
{
    struct value *v = value_new(a, VALUE_DEFERRED);
    v->text = arena_strndup(a, text, len);
    v->count = (uint32_t)len;
    v->marks = MARK_DEFERRED;
    grow(v, len);
    return v;
}

static void deepen(struct value *v, const struct value *child)
{
    if (child->depth >= v->depth && child->depth < UINT16_MAX)
        v->depth = (uint16_t)(child->depth + 1);
}

static uint8_t child_marks(const struct value *v)
{
    uint8_t marks = v->marks & (MARK_SECURE_INSIDE | MARK_DEFERRED | MARK_CODE);
    return v->marks & MARK_SECURE ? marks | MARK_SECURE_INSIDE : marks;
}

const struct value *value_array(struct arena *a, const struct value *const *items, size_t count)
{
    struct value *v = value_new(a, VALUE_ARRAY);
    v->items = items;
    v->count = (uint32_t)count;
    v->depth = 1;
    for (size_t i = 0; i < count; i++) {
        v->marks |= child_marks(items[i]);
        deepen(v, items[i]);
        grow(v, items[i]->size + sizeof(*items));
    }
    return v;
}

/* An expression as a key, or a property copy. */
static bool is_code_key(const struct member *m)
{
    return m->key[0] == '[' || (m->key_len == 4 && !strncasecmp(m->key, "copy", 4));
}

const struct value *value_object(struct arena *a, const struct member *members, size_t count)
{
    struct value *v = value_new(a, VALUE_OBJECT);
    v->members = members;
    v->count = (uint32_t)count;
    v->depth = 1;
    for (size_t i = 0; i < count; i++) {
        v->marks |= child_marks(members[i].value);
        deepen(v, members[i].value);
        grow(v, members[i].value->size + members[i].key_len + sizeof(*members));
        if (members[i].is_code)
            v->marks |= MARK_DEFERRED;
        if (is_code_key(&members[i]))
            v->marks |= MARK_CODE;
    }
    return v;
}

const struct value *value_mark(struct arena *a, const struct value *v, unsigned marks)
{
    if ((v->marks & marks) == marks)
        return v;
    struct value *copy = arena_memdup(a, v, sizeof(*v));
    copy->marks |= (uint8_t)marks;
    return copy;
}

const struct value *value_at(struct arena *a, const struct value *v, uint32_t at)
{
    if (v->at == at)
        return v;
    struct value *copy = arena_memdup(a, v, sizeof(*v));
    copy->at = at;
    return copy;
}

void object_start(struct object_builder *b, struct arena *a, size_t expected)
{
    *b = (struct object_builder){ .arena = a, .cap = expected ? expected : 4 };
    b->members = arena_array(a, b->cap, sizeof(*b->members));
}

static void object_append(struct object_builder *b, struct member m)
{
    if (b->count == b->cap) {
        struct member *bigger = arena_array(b->arena, b->cap * 2, sizeof(*bigger));
        memcpy(bigger, b->members, b->count * sizeof(*bigger));
        b->members = bigger;
        b->cap *= 2;
    }
    b->members[b->count++] = m;
}

void object_push(struct object_builder *b, const char *key, size_t key_len, const struct value *v)
{
    object_append(b, (struct member){ .key = key, .key_len = (uint32_t)key_len, .value = v });
}

void object_put(struct object_builder *b, const char *key, size_t key_len, const struct value *v)
{
    b->compares += b->count;
    for (size_t i = 0; i < b->count; i++) {
        struct member *m = &b->members[i];
        if (m->key_len != key_len)
            continue;
        bool same = b->is_exact ? !memcmp(m->key, key, key_len)
                                : text_same_nocase(m->key, m->key_len, key, key_len);
        if (same) {
            m->value = v;
            return;
        }
    }
    object_push(b, key, key_len, v);
}

void object_puts(struct object_builder *b, const char *key, const struct value *v)
{
    object_push(b, key, strlen(key), v);
}

const struct value *object_end(struct object_builder *b)
{
    return value_object(b->arena, b->members, b->count);
}

bool text_same_nocase(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && !strncasecmp(a, b, a_len);
}

const struct member *value_member(const struct value *object, const char *key, size_t key_len)
{
    if (!object || object->kind != VALUE_OBJECT)
        return NULL;
    const struct member *folded = NULL;
    for (size_t i = 0; i < object->count; i++) {
        const struct member *m = &object->members[i];
        if (m->key_len != key_len)
            continue;
        if (!memcmp(m->key, key, key_len))
            return m;
        if (!folded && !strncasecmp(m->key, key, key_len))
            folded = m;
    }
    return folded;
}

const struct value *value_get(const struct value *object, const char *key)
{
    const struct member *m = value_member(object, key, strlen(key));
    return m ? m->value : NULL;
}

const char *value_string(const struct value *v)
{
    return v && v->kind == VALUE_TEXT ? v->text : NULL;
}

bool value_is(const struct value *v, enum value_kind kind)
{
    return v && v->kind == (uint8_t)kind;
}

static bool spend(size_t *budget, size_t steps)
{
    if (!budget)
        return true;
    *budget = *budget > steps ? *budget - steps : 0;
    return *budget > 0;
}

static bool object_equal(const struct value *x, const struct value *y, size_t *budget)
{
    if (x->count != y->count)
        return false;
    for (size_t i = 0; i < x->count; i++) {
        const struct member *m = &x->members[i];
        const struct member *other = &y->members[i];
        if (other->key_len != m->key_len || memcmp(other->key, m->key, m->key_len) != 0)
            other = value_member(y, m->key, m->key_len);
        if (!spend(budget, other == &y->members[i] ? 1 : y->count))
            return false;
        if (!other || !value_equal(m->value, other->value, budget))
            return false;
    }
    return true;
}

bool value_equal(const struct value *x, const struct value *y, size_t *budget)
{
    if (!spend(budget, 1))
        return false;
    if (x == y)
        return true;
    if (x->kind != y->kind) {
        bool numbers = (x->kind == VALUE_INT || x->kind == VALUE_FLOAT) &&
                       (y->kind == VALUE_INT || y->kind == VALUE_FLOAT);
        if (!numbers)
            return false;
        const struct value *f = x->kind == VALUE_FLOAT ? x : y;
        const struct value *n = x->kind == VALUE_FLOAT ? y : x;
        return strtod(f->text, NULL) == (double)n->integer;
    }
    switch ((enum value_kind)x->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return x->boolean == y->boolean;
    case VALUE_INT:
        return x->integer == y->integer;
    case VALUE_FLOAT:
        return strtod(x->text, NULL) == strtod(y->text, NULL);
    case VALUE_TEXT:
    case VALUE_DEFERRED:
        return x->count == y->count && !memcmp(x->text, y->text, x->count);
    case VALUE_OBJECT:
        return object_equal(x, y, budget);
    case VALUE_ARRAY:
        if (x->count != y->count)
            return false;
        for (size_t i = 0; i < x->count; i++)
            if (!value_equal(x->items[i], y->items[i], budget))
                return false;
        return true;
    case VALUE_KIND_MAX:
        break;
    }
    return false;
}

const char *value_kind_name(const struct value *v)
{
    return v->kind < VALUE_KIND_MAX ? kind_names[v->kind] : "Unknown";
}
