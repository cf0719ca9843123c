/* The values of the template language: immutable trees in an arena. A value remembers where in the
 * template text it stands (for errors), whether it came from a secure parameter or a list* call
 * (MARK_SECURE), and whether part of it can only be known at run time (VALUE_DEFERRED, which holds
 * the text of the expression that remains to be evaluated). Objects keep insertion order; keys that
 * differ only in case may stand side by side, and look-up is exact first, then without case. */
#ifndef PORTOLAN_TEMPLATES_VALUE_H
#define PORTOLAN_TEMPLATES_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct expr_cell;
struct json_object;
struct source;
struct str;

enum value_kind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_TEXT,
    VALUE_ARRAY,
    VALUE_OBJECT,
    VALUE_DEFERRED, /* text is the remaining expression, without its brackets */
    VALUE_KIND_MAX
};

#define MARK_SECURE        (1u << 0) /* the whole value is secret */
#define MARK_SECURE_INSIDE (1u << 1) /* some value below is */
#define MARK_DEFERRED      (1u << 2) /* this or some value below is deferred */
#define MARK_CODE          (1u << 3) /* this or some value below may be template code */

struct member {
    const char *key;
    uint32_t key_len;
    uint32_t key_at; /* offset + 1 in the source text; 0: not from text */
    const struct value *value;
    bool is_code; /* the key is "[expression]", to be evaluated at run time */
};

struct value {
    uint8_t kind; /* enum value_kind */
    uint8_t marks;
    uint16_t depth; /* levels of arrays and objects, this one included */
    uint32_t at;    /* offset + 1 in the source text; 0: not from text */
    uint32_t count; /* bytes of a text, items of an array, members of an object */
    uint32_t size; /* what a walk over all of it costs, about bytes; shared parts count each time */
    union {
        bool boolean;
        int64_t integer;
        const char *text; /* also of VALUE_FLOAT: its JSON spelling */
        const struct value *const *items;
        const struct member *members;
    };
    struct expr_cell *cell; /* of a text that may be an expression: its parsed form, made once */
};

extern const struct value value_null, value_true, value_false, value_empty_text, value_empty_array,
    value_empty_object;

const struct value *value_bool(bool b);
const struct value *value_int(struct arena *a, int64_t n);
const struct value *value_float(struct arena *a, const char *spelling);
const struct value *value_text(struct arena *a, const char *s); /* copies */
const struct value *value_text_len(struct arena *a, const char *s, size_t len);
/* The same for bytes that already live in the arena and are NUL-terminated. */
const struct value *value_text_own(struct arena *a, const char *s, size_t len);
const struct value *value_deferred(struct arena *a, const char *text, size_t len);
/* items and members are taken over, not copied; marks are gathered from them. */
const struct value *value_array(struct arena *a, const struct value *const *items, size_t count);
const struct value *value_object(struct arena *a, const struct member *members, size_t count);
/* The same value with more marks, or v itself when it has them. */
const struct value *value_mark(struct arena *a, const struct value *v, unsigned marks);
const struct value *value_at(struct arena *a, const struct value *v, uint32_t at);

/* An object under construction; later values of an equal key replace earlier ones. */
struct object_builder {
    struct arena *arena;
    struct member *members;
    size_t count, cap;
    bool is_exact;   /* keys differing only in case are different keys */
    size_t compares; /* work done in look-ups, for the caller's budget */
};
void object_start(struct object_builder *b, struct arena *a, size_t expected);
void object_put(struct object_builder *b, const char *key, size_t key_len, const struct value *v);
void object_puts(struct object_builder *b, const char *key, const struct value *v);
/* Appends without looking for an equal key. */
void object_push(struct object_builder *b, const char *key, size_t key_len, const struct value *v);
const struct value *object_end(struct object_builder *b);

const struct member *value_member(const struct value *object, const char *key, size_t key_len);
const struct value *value_get(const struct value *object, const char *key); /* NULL when absent */
const char *value_string(const struct value *v);                            /* NULL unless a text */
bool value_is(const struct value *v, enum value_kind kind);                 /* false for NULL */
bool text_same_nocase(const char *a, size_t a_len, const char *b, size_t b_len);

/* Deep and strict. Each visited node takes one of *budget (NULL: no limit); false when it is spent.
 */
bool value_equal(const struct value *x, const struct value *y, size_t *budget);
/* "String", "Integer", … as error texts name them. */
const char *value_kind_name(const struct value *v);

/* From json-c. With a source whose text the JSON was parsed from, positions are recorded. */
const struct value *value_import(struct arena *a, const struct json_object *json,
                                 const struct source *source);

enum value_export {
    EXPORT_FINAL,  /* values as they are; deferred ones as "[expression]" */
    EXPORT_PLAN,   /* as FINAL, and literal texts that look like expressions are escaped "[[" */
    EXPORT_REDACT, /* as PLAN, and secure values become null */
    EXPORT_MAX
};
/* A new json-c value (the caller's reference); NULL is JSON null. */
struct json_object *value_export(const struct value *v, enum value_export how);

/* Minified JSON, quote is '"' or '\''. */
void value_print(struct str *out, const struct value *v, char quote);
/* The value written as an expression: 'text', 1, true(), createArray(…), createObject(…). */
void value_print_literal(struct str *out, const struct value *v);

#endif
