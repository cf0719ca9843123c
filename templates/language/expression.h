/* The expression grammar of the template language, as trees in an arena:
 *
 *   expr := prim { "." ident | ".?" ident | "[" expr "]" | "[?" expr "]" }
 *   prim := 'string' | [+-]digits[.frac] | name "(" [expr {"," expr}] ")"
 *   name := ident { "." ident }
 *
 * A JSON text is an expression when it begins with one '[' and ends with ']'. Texts are at most
 * EXPR_CHARS_MAX bytes and EXPR_DEPTH_MAX levels deep. Error texts are the recorded ones. */
#ifndef PORTOLAN_TEMPLATES_EXPRESSION_H
#define PORTOLAN_TEMPLATES_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct function;
struct str;
struct user_function;
struct value;

#define EXPR_CHARS_MAX 24576
#define EXPR_DEPTH_MAX 100

enum expr_kind {
    EXPR_LITERAL,
    EXPR_CALL,
    EXPR_PROPERTY, /* base.key, key a literal text */
    EXPR_INDEX,    /* base[key] */
    EXPR_KIND_MAX
};

struct expr {
    enum expr_kind kind;
    bool is_safe; /* ".?" and "[?": absent gives null */
    uint32_t at;  /* offset in the expression text */
    uint32_t end; /* offset past its last character */
    const struct value *literal;
    const char *name; /* of a call, with its namespace */
    uint32_t name_len;
    uint32_t argc;
    struct expr **args;
    struct expr *base, *key;
    const struct function *function; /* NULL: of the user, or unknown */
};

enum expr_state { EXPR_UNSEEN, EXPR_IS_LITERAL, EXPR_IS_CODE };

/* The parse of one text, kept with the text. */
struct expr_cell {
    enum expr_state state;
    const struct expr *expr;     /* when EXPR_IS_CODE */
    const struct value *literal; /* when EXPR_IS_LITERAL: the text, unescaped */
};

/* Does the text begin with '[', end with ']' and not begin with "[["? */
bool expr_is_code(const char *text, size_t len);
/* Parses what stands between the brackets. ret_at (may be NULL) is the offset of a failure. */
MUST_CHECK int expr_parse(struct arena *a, const char *text, size_t len, const struct expr **ret,
                          size_t *ret_at, struct error *err);
/* Calls fn for e and every expression below it, outermost first, until it returns false. */
bool expr_walk(const struct expr *e, bool (*fn)(void *ctx, const struct expr *e), void *ctx);

#endif
