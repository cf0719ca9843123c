/* URIs: joining by RFC 3986 section 5, taking apart, putting together. */
#include <inttypes.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "templates/functions/casing.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"

struct part {
    const char *s;
    size_t len;
    bool is_set;
};

struct uri {
    struct part scheme, authority, path, query, fragment;
};

static struct part part_of(const char *s, size_t len)
{
    return (struct part){ .s = s, .len = len, .is_set = true };
}

/* RFC 3986 appendix B, by hand. */
static struct uri split_uri(const char *s)
{
    struct uri u = { 0 };
    size_t n = strcspn(s, ":/?#");
    if (s[n] == ':' && n > 0) {
        u.scheme = part_of(s, n);
        s += n + 1;
    }
    if (s[0] == '/' && s[1] == '/') {
        n = strcspn(s + 2, "/?#");
        u.authority = part_of(s + 2, n);
        s += n + 2;
    }
    n = strcspn(s, "?#");
    u.path = part_of(s, n);
    s += n;
    if (*s == '?') {
        n = strcspn(s, "#");
        u.query = part_of(s + 1, n - 1);
        s += n;
    }
    if (*s == '#')
        u.fragment = part_of(s + 1, strlen(s + 1));
    return u;
}

/* RFC 3986 section 5.2.4 */
static void remove_dots(struct str *out, size_t floor, const char *path, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t end = i + 1;
        while (end < len && path[end] != '/')
            end++;
        size_t n = end - i;
        bool is_last = end == len;
        const char *segment = path + i;
        if (n == 2 && !memcmp(segment, "/.", 2)) {
            if (is_last)
                str_putc(out, '/');
        } else if (n == 3 && !memcmp(segment, "/..", 3)) {
            while (out->len > floor && out->data[--out->len] != '/')
                continue;
            out->data[out->len] = '\0';
            if (is_last)
                str_putc(out, '/');
        } else {
            str_append(out, segment, n);
        }
        i = end;
    }
}

static void put_path(struct call *c, struct str *out, const struct uri *base, const struct uri *rel)
{
    size_t floor = out->len;
    if (rel->path.len && rel->path.s[0] == '/') {
        remove_dots(out, floor, rel->path.s, rel->path.len);
        return;
    }
    size_t keep = base->path.len;
    while (keep && base->path.s[keep - 1] != '/')
        keep--;
    char *joined = arena_printf(c->arena, "%.*s%.*s", (int)keep, base->path.s, (int)rel->path.len,
                                rel->path.s);
    if (joined[0] != '/')
        joined = arena_printf(c->arena, "/%s", joined);
    remove_dots(out, floor, joined, strlen(joined));
}

static void put_tail(struct str *out, const struct part *query, const struct part *fragment)
{
    if (query->is_set) {
        str_putc(out, '?');
        str_append(out, query->s, query->len);
    }
    if (fragment->is_set) {
        str_putc(out, '#');
        str_append(out, fragment->s, fragment->len);
    }
}

int fn_uri(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *base_text, *rel_text;
    if (arg_text(c, 0, &base_text, err) < 0 || arg_text(c, 1, &rel_text, err) < 0)
        return -1;
    struct uri base = split_uri(base_text->text), rel = split_uri(rel_text->text);
    if (!base.scheme.is_set || !base.authority.is_set)
        return call_fail(c, err, "the base URI '%.256s' is not an absolute URI.", base_text->text);
    if (rel.scheme.is_set)
        return call_text(c, rel_text->text, rel_text->count, ret, err);
    if (engine_bytes(c->env->engine, (size_t)base_text->count + rel_text->count, err) < 0)
        return -1;
    struct str out;
    str_init(&out, ENGINE_TEXT_MAX);
    str_append(&out, base.scheme.s, base.scheme.len);
    str_puts(&out, "://");
    const struct part *authority = rel.authority.is_set ? &rel.authority : &base.authority;
    str_append(&out, authority->s, authority->len);
    if (rel.authority.is_set) {
        remove_dots(&out, out.len, rel.path.s, rel.path.len);
    } else if (!rel.path.len) {
        str_append(&out, base.path.len ? base.path.s : "/", base.path.len ? base.path.len : 1);
    } else {
        put_path(c, &out, &base, &rel);
    }
    bool keeps_query = !rel.path.len && !rel.query.is_set && !rel.authority.is_set;
    put_tail(&out, keeps_query ? &base.query : &rel.query, &rel.fragment);
    int rc = call_str(c, &out, ret, err);
    str_done(&out);
    return rc;
}

static int default_port(const char *scheme, size_t len)
{
    if (len == 5 && !strncasecmp(scheme, "https", 5))
        return 443;
    return len == 4 && !strncasecmp(scheme, "http", 4) ? 80 : -1;
}

int fn_parse_uri(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *text;
    if (arg_text(c, 0, &text, err) < 0)
        return -1;
    struct uri u = split_uri(text->text);
    if (!u.scheme.is_set || !u.authority.is_set)
        return call_fail(c, err, "the URI '%.256s' is not an absolute URI.", text->text);
    struct part host = u.authority;
    const char *at = memrchr(host.s, '@', host.len);
    if (at)
        host = part_of(at + 1, host.len - (size_t)(at + 1 - host.s));
    int64_t port = default_port(u.scheme.s, u.scheme.len);
    const char *colon = memrchr(host.s, ':', host.len);
    if (colon && !memchr(colon, ']', host.len - (size_t)(colon - host.s))) {
        char *digits = arena_strndup(c->arena, colon + 1, host.len - (size_t)(colon + 1 - host.s));
        if (!text_parse_i64(digits, &port) || port < 0 || port > 65535)
            return call_fail(c, err, "the port of the URI is not valid.");
        host.len = (size_t)(colon - host.s);
    }
    struct object_builder b;
    object_start(&b, c->arena, 5);
    size_t len;
    const char *lower = casing_convert(c->env->engine, u.scheme.s, u.scheme.len, false, &len);
    object_puts(&b, "scheme", value_text_own(c->arena, lower, len));
    lower = casing_convert(c->env->engine, host.s, host.len, false, &len);
    object_puts(&b, "host", value_text_own(c->arena, lower, len));
    object_puts(&b, "port", value_int(c->arena, port));
    object_puts(&b, "path",
                value_text_len(c->arena, u.path.len ? u.path.s : "/", u.path.len ? u.path.len : 1));
    char *query = u.query.len ? arena_printf(c->arena, "?%.*s", (int)u.query.len, u.query.s) : "";
    object_puts(&b, "query", value_text(c->arena, query));
    *ret = object_end(&b);
    return 0;
}

static const char *text_member(const struct value *o, const char *key)
{
    const char *s = value_string(value_get(o, key));
    return s ? s : "";
}

int fn_build_uri(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *o;
    if (arg_object(c, 0, &o, err) < 0)
        return -1;
    const char *scheme = text_member(o, "scheme"), *host = text_member(o, "host");
    const char *path = text_member(o, "path"), *query = text_member(o, "query");
    if (!*scheme || !*host)
        return call_fail(c, err, "the object must have the properties 'scheme' and 'host'.");
    const struct value *port = value_get(o, "port");
    struct str out;
    str_init(&out, ENGINE_TEXT_MAX);
    str_printf(&out, "%s://%s", scheme, host);
    if (value_is(port, VALUE_INT) && port->integer >= 0 &&
        port->integer != default_port(scheme, strlen(scheme)))
        str_printf(&out, ":%" PRId64, port->integer);
    if (*path != '/')
        str_putc(&out, '/');
    str_puts(&out, path);
    if (*query && *query != '?')
        str_putc(&out, '?');
    str_puts(&out, query);
    int rc = call_str(c, &out, ret, err);
    str_done(&out);
    return rc;
}
