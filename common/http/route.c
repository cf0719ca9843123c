/* Pattern matching of routes. A pattern has at most one {x*}, so a match is decided without
 * backtracking: the segments before it are compared from the left, those behind it from the right,
 * and it takes what lies between. */
#include "common/http/route.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"

#define ALLOW_MAX 128

struct span {
    const char *at;
    size_t len;
};

struct captures {
    struct span spans[HTTP_PARAMS_MAX];
    size_t count;
};

static bool is_same_literal(struct span a, struct span b, bool is_nocase)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        char x = a.at[i], y = b.at[i];

        if (is_nocase) {
            x = x >= 'A' && x <= 'Z' ? (char)(x | 0x20) : x;
            y = y >= 'A' && y <= 'Z' ? (char)(y | 0x20) : y;
        }
        if (x != y)
            return false;
    }
    return true;
}

static bool is_param(struct span s)
{
    return s.len >= 2 && s.at[0] == '{' && s.at[s.len - 1] == '}';
}

static bool is_star(struct span s)
{
    return is_param(s) && s.len >= 3 && s.at[s.len - 2] == '*';
}

static void capture(struct captures *c, struct span s)
{
    if (c->count < HTTP_PARAMS_MAX)
        c->spans[c->count++] = s;
}

/* One segment of the pattern against one of the path. */
static bool fits(struct span pattern, struct span part, bool is_nocase, struct captures *c)
{
    if (!is_param(pattern))
        return is_same_literal(pattern, part, is_nocase);
    if (part.len == 0)
        return false;
    capture(c, part);
    return true;
}

/* The next segment behind the slash at *p; *p moves to the slash behind it, or to the end. */
static struct span next_segment(const char **p)
{
    const char *start = *p + 1;
    size_t len = strcspn(start, "/");

    *p = start + len;
    return (struct span){ start, len };
}

static size_t count_segments(const char *p)
{
    size_t n = 0;

    for (; *p; p++)
        n += *p == '/';
    return n;
}

/* Takes `count` segments of the path as one capture; none of them may be empty. */
static bool take_many(const char **path, size_t count, struct captures *c)
{
    const char *start = *path + 1;

    for (size_t i = 0; i < count; i++)
        if (next_segment(path).len == 0)
            return false;
    capture(c, (struct span){ start, (size_t)(*path - start) });
    return true;
}

static bool match(const struct http_route *r, const char *path, size_t path_segments,
                  struct captures *c)
{
    const char *pattern = r->pattern;
    size_t left = count_segments(pattern);
    size_t remaining = path_segments;

    c->count = 0;
    while (left > 0) {
        struct span want = next_segment(&pattern);

        left--;
        if (remaining <= left)
            return false;
        if (is_star(want)) {
            if (!take_many(&path, remaining - left, c))
                return false;
            remaining = left;
            continue;
        }
        if (!fits(want, next_segment(&path), r->is_nocase, c))
            return false;
        remaining--;
    }
    return remaining == 0;
}

static void note_allowed(char *allow, const char *method)
{
    size_t have = strlen(allow), len = strlen(method);
    const char *p = allow;

    while ((p = strstr(p, method))) {
        if ((p == allow || p[-1] == ' ') && (p[len] == '\0' || p[len] == ','))
            return;
        p += len;
    }
    if (have + len + 3 > ALLOW_MAX)
        return;
    if (have) {
        memcpy(allow + have, ", ", 2);
        have += 2;
    }
    memcpy(allow + have, method, len + 1);
}

static bool is_headed(const struct http_route *r)
{
    return r->answers_head && strcmp(r->method, "GET") == 0;
}

static bool is_method(const struct http_route *r, const char *method)
{
    return strcmp(r->method, method) == 0 || strcmp(r->method, "*") == 0 ||
           (strcmp(method, "HEAD") == 0 && is_headed(r));
}

const char *http_route_methods(struct arena *a, const struct http_route *routes, const char *path,
                               void (*run)(struct http_request *req))
{
    size_t segments = count_segments(path);
    char allow[ALLOW_MAX] = "";
    struct captures c;

    for (const struct http_route *r = routes; r && r->method; r++) {
        if ((run && r->run != run) || !match(r, path, segments, &c))
            continue;
        note_allowed(allow, r->method);
        if (is_headed(r))
            note_allowed(allow, "HEAD");
    }
    return allow[0] ? arena_strdup(a, allow) : NULL;
}

void http_route_find(struct arena *a, const struct http_route *routes, const char *method,
                     const char *path, struct http_route_match *ret)
{
    size_t segments = count_segments(path);
    struct captures c;

    memset(ret, 0, sizeof *ret);
    for (const struct http_route *r = routes; r && r->method; r++) {
        if (!is_method(r, method) || !match(r, path, segments, &c))
            continue;
        ret->route = r;
        for (size_t i = 0; i < c.count; i++)
            ret->params[i] = arena_strndup(a, c.spans[i].at, c.spans[i].len);
        return;
    }
    ret->allow = http_route_methods(a, routes, path, NULL);
    ret->is_method_wrong = ret->allow != NULL;
}
