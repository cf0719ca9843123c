/* The lexer of template expressions. It works on what stands between the brackets. */
#include "templates/language/token.h"

#include <stdbool.h>

#include "common/base/error.h"
#include "templates/language/faults.h"

static const char *const names[TOKEN_KIND_MAX] = {
    [TOKEN_END] = "EndOfData",
    [TOKEN_IDENTIFIER] = "Identifier",
    [TOKEN_STRING] = "String",
    [TOKEN_INTEGER] = "Integer",
    [TOKEN_FLOAT] = "Float",
    [TOKEN_LEFT_PAREN] = "LeftParenthesis",
    [TOKEN_RIGHT_PAREN] = "RightParenthesis",
    [TOKEN_LEFT_SQUARE] = "LeftSquareBracket",
    [TOKEN_RIGHT_SQUARE] = "RightSquareBracket",
    [TOKEN_COMMA] = "Comma",
    [TOKEN_DOT] = "Dot",
    [TOKEN_QUESTION] = "QuestionMark",
};

const char *token_name(enum token_kind kind)
{
    return names[kind];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_ident_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '#';
}

static bool is_ident(char c)
{
    return is_ident_start(c) || is_digit(c);
}

static int unexpected(const char *text, size_t len, uint32_t at, struct token *ret,
                      struct error *err)
{
    ret->at = ret->end = at;
    if (at >= len)
        return fail(err, &E_TEMPLATE_EXPRESSION,
                    "Unable to parse language expression '%.*s': expected token 'Integer' and "
                    "actual 'EndOfData'.",
                    (int)len, text);
    size_t bytes = 1; /* a whole UTF-8 character */
    while (at + bytes < len && ((unsigned char)text[at + bytes] & 0xc0) == 0x80)
        bytes++;
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The language expression '%.*s' is not valid: the string character '%.*s' at "
                "position '%u' is not expected.",
                (int)len, text, (int)bytes, text + at, at);
}

static int string_token(const char *text, size_t len, struct token *ret, struct error *err)
{
    uint32_t i = ret->at + 1;
    for (; i < len; i++) {
        if (text[i] != '\'')
            continue;
        if (i + 1 < len && text[i + 1] == '\'') {
            i++;
            continue;
        }
        ret->kind = TOKEN_STRING;
        ret->end = i + 1;
        return 0;
    }
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The language expression '%.*s' is not valid: the string literal that starts at "
                "position '%u' is not closed.",
                (int)len, text, ret->at);
}

static uint32_t skip_digits(const char *text, size_t len, uint32_t i)
{
    while (i < len && is_digit(text[i]))
        i++;
    return i;
}

static int number_token(const char *text, size_t len, struct token *ret, struct error *err)
{
    uint32_t i = ret->at;
    bool is_float = false;
    if (text[i] == '-' || text[i] == '+')
        i++;
    uint32_t digits = i;
    i = skip_digits(text, len, i);
    bool has_digits = i > digits;
    if (has_digits && i + 1 < len && text[i] == '.' && is_digit(text[i + 1])) {
        is_float = true;
        i = skip_digits(text, len, i + 1);
    }
    if (i < len && (text[i] == 'e' || text[i] == 'E')) {
        is_float = true;
        i++;
        if (i < len && (text[i] == '-' || text[i] == '+'))
            i++;
        uint32_t exponent = i;
        i = skip_digits(text, len, i);
        if (i == exponent)
            return unexpected(text, len, i, ret, err);
    }
    if (!has_digits || (i < len && is_ident(text[i])))
        return unexpected(text, len, i, ret, err);
    ret->kind = is_float ? TOKEN_FLOAT : TOKEN_INTEGER;
    ret->end = i;
    return 0;
}

static enum token_kind punctuation(char c)
{
    switch (c) {
    case '(':
        return TOKEN_LEFT_PAREN;
    case ')':
        return TOKEN_RIGHT_PAREN;
    case '[':
        return TOKEN_LEFT_SQUARE;
    case ']':
        return TOKEN_RIGHT_SQUARE;
    case ',':
        return TOKEN_COMMA;
    case '.':
        return TOKEN_DOT;
    case '?':
        return TOKEN_QUESTION;
    default:
        return TOKEN_END;
    }
}

int token_next(const char *text, size_t len, uint32_t offset, struct token *ret, struct error *err)
{
    while (offset < len && (text[offset] == ' ' || text[offset] == '\t' || text[offset] == '\r' ||
                            text[offset] == '\n'))
        offset++;
    *ret = (struct token){ .kind = TOKEN_END, .at = offset, .end = offset };
    if (offset >= len)
        return 0;
    char c = text[offset];
    if (is_ident_start(c)) {
        uint32_t i = offset;
        while (i < len && is_ident(text[i]))
            i++;
        ret->kind = TOKEN_IDENTIFIER;
        ret->end = i;
        return 0;
    }
    if (c == '\'')
        return string_token(text, len, ret, err);
    if (is_digit(c) || c == '-' || c == '+')
        return number_token(text, len, ret, err);
    ret->kind = punctuation(c);
    ret->end = offset + 1;
    return ret->kind == TOKEN_END ? unexpected(text, len, offset, ret, err) : 0;
}
