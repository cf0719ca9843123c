/* The tokens of template expressions. */
#ifndef PORTOLAN_TEMPLATES_TOKEN_H
#define PORTOLAN_TEMPLATES_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct error;

enum token_kind {
    TOKEN_END,
    TOKEN_IDENTIFIER,
    TOKEN_STRING, /* at..end with its quotes */
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_LEFT_PAREN,
    TOKEN_RIGHT_PAREN,
    TOKEN_LEFT_SQUARE,
    TOKEN_RIGHT_SQUARE,
    TOKEN_COMMA,
    TOKEN_DOT,
    TOKEN_QUESTION,
    TOKEN_KIND_MAX
};

struct token {
    enum token_kind kind;
    uint32_t at, end;
};

/* "LeftParenthesis", "EndOfData", … */
const char *token_name(enum token_kind kind);
/* The token at or after offset. On failure ret->at is where. */
MUST_CHECK int token_next(const char *text, size_t len, uint32_t offset, struct token *ret,
                          struct error *err);

#endif
