/* The parser of template expressions: recursive descent with a depth limit, one tree per text. */
#include "templates/language/expression.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/functions/function.h"
#include "templates/language/faults.h"
#include "templates/language/token.h"
#include "templates/language/value.h"

#define ARGS_MAX       4096
#define NAME_MAX_BYTES 256

struct parser {
    struct arena *arena;
    const char *text;
    size_t len;
    struct token token; /* the one not yet taken */
    int depth;
    struct error *err;
};

static int parse_expr(struct parser *p, struct expr **ret);

static int expected(struct parser *p, enum token_kind kind)
{
    return fail(p->err, &E_TEMPLATE_EXPRESSION,
                "Unable to parse language expression '%.*s': expected token '%s' and actual '%s'.",
                (int)p->len, p->text, token_name(kind), token_name(p->token.kind));
}

static int advance(struct parser *p)
{
    return token_next(p->text, p->len, p->token.end, &p->token, p->err);
}

static int take_token(struct parser *p, enum token_kind kind)
{
    return p->token.kind == kind ? advance(p) : expected(p, kind);
}

static struct expr *expr_new(struct parser *p, enum expr_kind kind, uint32_t at)
{
    struct expr *e = ARENA_NEW(p->arena, struct expr);
    e->kind = kind;
    e->at = at;
    return e;
}

static int parse_string(struct parser *p, struct expr **ret)
{
    const char *from = p->text + p->token.at + 1;
    size_t len = p->token.end - p->token.at - 2;
    char *text = arena_alloc(p->arena, len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        text[n++] = from[i];
        if (from[i] == '\'')
            i++; /* the second of two quotes */
    }
    *ret = expr_new(p, EXPR_LITERAL, p->token.at);
    (*ret)->literal = value_text_own(p->arena, text, n);
    (*ret)->end = p->token.end;
    return advance(p);
}

static int parse_number(struct parser *p, struct expr **ret)
{
    const char *from = p->text + p->token.at;
    char *digits = arena_strndup(p->arena, from, p->token.end - p->token.at);
    *ret = expr_new(p, EXPR_LITERAL, p->token.at);
    (*ret)->end = p->token.end;
    int64_t n = 0;
    const char *plain = digits[0] == '+' ? digits + 1 : digits;
    if (p->token.kind == TOKEN_FLOAT)
        (*ret)->literal = value_float(p->arena, plain);
    else if (text_parse_i64(plain, &n))
        (*ret)->literal = value_int(p->arena, n);
    else
        return fail(p->err, &E_TEMPLATE_EXPRESSION,
                    "The language expression '%.*s' is not valid: the integer '%s' at position "
                    "'%u' is outside the range '%" PRId64 "' to '%" PRId64 "'.",
                    (int)p->len, p->text, digits, p->token.at, INT64_MIN, INT64_MAX);
    return advance(p);
}

static int push_arg(struct parser *p, struct expr *call, struct expr *arg, uint32_t *cap)
{
    if (call->argc == ARGS_MAX)
        return fail(p->err, &E_TEMPLATE_EXPRESSION,
                    "The language expression '%.*s' is not valid: a function call has more than "
                    "'%d' arguments.",
                    (int)p->len, p->text, ARGS_MAX);
    if (call->argc == *cap) {
        struct expr **bigger = arena_array(p->arena, *cap ? *cap * 2 : 4, sizeof(struct expr *));
        if (call->argc)
            memcpy(bigger, call->args, call->argc * sizeof(struct expr *));
        call->args = bigger;
        *cap = *cap ? *cap * 2 : 4;
    }
    call->args[call->argc++] = arg;
    return 0;
}

static int parse_args(struct parser *p, struct expr *call)
{
    uint32_t cap = 0;
    if (p->token.kind == TOKEN_RIGHT_PAREN)
        return 0;
    for (;;) {
        struct expr *arg = NULL;
        if (parse_expr(p, &arg) < 0 || push_arg(p, call, arg, &cap) < 0)
            return -1;
        if (p->token.kind != TOKEN_COMMA)
            return 0;
        if (advance(p) < 0)
            return -1;
    }
}

/* name "(" args ")"; a namespace and a function are joined by one dot. */
static int parse_call(struct parser *p, struct expr **ret)
{
    struct expr *e = expr_new(p, EXPR_CALL, p->token.at);
    char name[NAME_MAX_BYTES];
    size_t n = 0;
    for (;;) {
        if (p->token.kind != TOKEN_IDENTIFIER)
            return expected(p, TOKEN_IDENTIFIER);
        size_t len = p->token.end - p->token.at;
        if (n + len + 1 >= sizeof(name))
            return fail(p->err, &E_TEMPLATE_EXPRESSION,
                        "The language expression has a function name of more than '%d' characters "
                        "at position '%u'.",
                        NAME_MAX_BYTES, p->token.at);
        memcpy(name + n, p->text + p->token.at, len);
        n += len;
        if (advance(p) < 0)
            return -1;
        if (p->token.kind != TOKEN_DOT)
            break;
        name[n++] = '.';
        if (advance(p) < 0)
            return -1;
    }
    e->name = arena_strndup(p->arena, name, n);
    e->name_len = (uint32_t)n;
    e->function = function_find(e->name, n);
    if (take_token(p, TOKEN_LEFT_PAREN) < 0 || parse_args(p, e) < 0)
        return -1;
    e->end = p->token.end;
    *ret = e;
    return take_token(p, TOKEN_RIGHT_PAREN);
}

static int parse_primary(struct parser *p, struct expr **ret)
{
    switch (p->token.kind) {
    case TOKEN_STRING:
        return parse_string(p, ret);
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
        return parse_number(p, ret);
    case TOKEN_IDENTIFIER:
        return parse_call(p, ret);
    case TOKEN_END:
    case TOKEN_LEFT_PAREN:
    case TOKEN_RIGHT_PAREN:
    case TOKEN_LEFT_SQUARE:
    case TOKEN_RIGHT_SQUARE:
    case TOKEN_COMMA:
    case TOKEN_DOT:
    case TOKEN_QUESTION:
    case TOKEN_KIND_MAX:
        break;
    }
    return expected(p, TOKEN_IDENTIFIER);
}

static int skip_question(struct parser *p, struct expr *e)
{
    if (p->token.kind != TOKEN_QUESTION)
        return 0;
    e->is_safe = true;
    return advance(p);
}

static int parse_property(struct parser *p, struct expr *e)
{
    if (advance(p) < 0 || skip_question(p, e) < 0)
        return -1;
    if (p->token.kind != TOKEN_IDENTIFIER)
        return expected(p, TOKEN_IDENTIFIER);
    e->kind = EXPR_PROPERTY;
    e->key = expr_new(p, EXPR_LITERAL, p->token.at);
    e->key->literal = value_text_len(p->arena, p->text + p->token.at, p->token.end - p->token.at);
    e->end = e->key->end = p->token.end;
    return advance(p);
}

static int parse_index(struct parser *p, struct expr *e)
{
    if (advance(p) < 0 || skip_question(p, e) < 0 || parse_expr(p, &e->key) < 0)
        return -1;
    e->end = p->token.end;
    return take_token(p, TOKEN_RIGHT_SQUARE);
}

static int parse_expr(struct parser *p, struct expr **ret)
{
    if (p->depth == EXPR_DEPTH_MAX)
        return fail(p->err, &E_TEMPLATE_EXPRESSION,
                    "The language expression at position '%u' is nested more than '%d' levels "
                    "deep.",
                    p->token.at, EXPR_DEPTH_MAX);
    p->depth++;
    struct expr *e = NULL;
    if (parse_primary(p, &e) < 0)
        return -1;
    size_t chain = 0;
    while (p->token.kind == TOKEN_DOT || p->token.kind == TOKEN_LEFT_SQUARE) {
        if (++chain > EXPR_DEPTH_MAX)
            return fail(p->err, &E_TEMPLATE_EXPRESSION,
                        "The language expression at position '%u' has more than '%d' property "
                        "accesses in a row.",
                        p->token.at, EXPR_DEPTH_MAX);
        struct expr *outer = expr_new(p, EXPR_INDEX, e->at);
        outer->base = e;
        int rc = p->token.kind == TOKEN_DOT ? parse_property(p, outer) : parse_index(p, outer);
        if (rc < 0)
            return -1;
        e = outer;
    }
    p->depth--;
    *ret = e;
    return 0;
}

bool expr_is_code(const char *text, size_t len)
{
    return len >= 2 && text[0] == '[' && text[len - 1] == ']' && text[1] != '[';
}

int expr_parse(struct arena *a, const char *text, size_t len, const struct expr **ret,
               size_t *ret_at, struct error *err)
{
    if (len > EXPR_CHARS_MAX)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "The language expression length limit exceeded. Limit: '%d' and actual: "
                    "'%zu'." SEE_EXPRESSIONS,
                    EXPR_CHARS_MAX, len);
    struct parser p = { .arena = a, .text = text, .len = len, .err = err };
    struct expr *e = NULL;
    int rc = advance(&p);
    if (rc == 0)
        rc = parse_expr(&p, &e);
    if (rc == 0 && p.token.kind != TOKEN_END)
        rc = expected(&p, TOKEN_END);
    if (ret_at)
        *ret_at = p.token.at;
    *ret = e;
    return rc;
}

bool expr_walk(const struct expr *e, bool (*fn)(void *ctx, const struct expr *e), void *ctx)
{
    if (!e)
        return true;
    if (!fn(ctx, e) || !expr_walk(e->base, fn, ctx))
        return false;
    if (e->kind == EXPR_INDEX && !expr_walk(e->key, fn, ctx))
        return false;
    for (uint32_t i = 0; i < e->argc; i++)
        if (!expr_walk(e->args[i], fn, ctx))
            return false;
    return true;
}
