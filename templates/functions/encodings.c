/* base64, data URIs and percent encoding. Decoded bytes must be UTF-8 text without NUL. */
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"

static int decoded(struct call *c, const char *bytes, size_t len, const struct value **ret,
                   struct error *err)
{
    if (!text_is_utf8(bytes, len) || memchr(bytes, 0, len))
        return call_fail(c, err, "the decoded bytes are not UTF-8 text.");
    return call_text(c, bytes, len, ret, err);
}

static int unbase64(struct call *c, const char *s, size_t len, const struct value **ret,
                    struct error *err)
{
    size_t n;
    if (engine_bytes(c->env->engine, len, err) < 0)
        return -1;
    uint8_t *bytes = text_unbase64(c->arena, s, len, &n);
    if (!bytes)
        return call_fail(c, err, "the string is not valid base64.");
    return decoded(c, (const char *)bytes, n, ret, err);
}

int fn_base64(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *s;
    if (arg_text(c, 0, &s, err) < 0 || engine_bytes(c->env->engine, (size_t)s->count * 2, err) < 0)
        return -1;
    char *text = text_base64(c->arena, s->text, s->count);
    return call_text(c, text, strlen(text), ret, err);
}

int fn_base64_to_string(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *s;
    if (arg_text(c, 0, &s, err) < 0)
        return -1;
    return unbase64(c, s->text, s->count, ret, err);
}

int fn_base64_to_json(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *text;
    if (fn_base64_to_string(c, &text, err) < 0)
        return -1;
    struct call json = *c;
    json.args = &text;
    return fn_json(&json, ret, err);
}

int fn_data_uri(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *s;
    if (arg_text(c, 0, &s, err) < 0 || engine_bytes(c->env->engine, (size_t)s->count * 3, err) < 0)
        return -1;
    char *uri = arena_printf(c->arena, "data:text/plain;charset=utf-8;base64,%s",
                             text_base64(c->arena, s->text, s->count));
    return call_text(c, uri, strlen(uri), ret, err);
}

/* RFC 2397: data:[type][;charset=…][;base64],data */
int fn_data_uri_to_string(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *s;
    if (arg_text(c, 0, &s, err) < 0)
        return -1;
    const char *comma = memchr(s->text, ',', s->count);
    if (strncasecmp(s->text, "data:", 5) != 0 || !comma)
        return call_fail(c, err, "the string is not a data URI.");
    size_t head = (size_t)(comma - s->text);
    const char *data = comma + 1;
    size_t len = s->count - head - 1;
    if (head >= 7 && !strncasecmp(comma - 7, ";base64", 7))
        return unbase64(c, data, len, ret, err);
    if (engine_bytes(c->env->engine, len, err) < 0)
        return -1;
    char *text = text_percent_decode(c->arena, data, len, false);
    if (!text)
        return call_fail(c, err, "the data of the URI is not valid.");
    return decoded(c, text, strlen(text), ret, err);
}

int fn_uri_component(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *s;
    if (arg_text(c, 0, &s, err) < 0 || engine_bytes(c->env->engine, (size_t)s->count * 3, err) < 0)
        return -1;
    char *text = text_percent_encode(c->arena, s->text);
    return call_text(c, text, strlen(text), ret, err);
}

/* What is no valid escape stays as it is. */
int fn_uri_component_to_string(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *s;
    if (arg_text(c, 0, &s, err) < 0)
        return -1;
    struct str out;
    str_init(&out, ENGINE_TEXT_MAX);
    for (size_t i = 0; i < s->count; i++) {
        uint8_t byte;
        if (s->text[i] == '%' && i + 2 < s->count && text_unhex(s->text + i + 1, 2, &byte, 1)) {
            str_putc(&out, (char)byte);
            i += 2;
        } else {
            str_putc(&out, s->text[i]);
        }
    }
    int rc = decoded(c, out.data, out.len, ret, err);
    str_done(&out);
    return rc;
}
