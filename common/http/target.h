/* The request target made canonical, as a pure function on bytes. The path is percent-decoded
 * once; what could make two readers of one path disagree (dot segments, NUL and control
 * characters, encoded slashes, backslashes, broken escapes, invalid UTF-8) is refused, runs of
 * slashes become one. Where an application takes encoded slashes, they are slashes like any other
 * before anything else looks. Routing and authorisation read the result and nothing else. */
#ifndef PORTOLAN_HTTP_TARGET_H
#define PORTOLAN_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

#define HTTP_TARGET_MAX 8192

struct http_target {
    const char *path;      /* begins with '/' */
    const char *query;     /* undecoded, without '?'; "" when there is none */
    const char *authority; /* of the absolute form ("GET http://host/…"); NULL: origin form */
};

/* E_INVALID with a sentence for the client when raw is refused. All of *ret lives in a. */
MUST_CHECK int http_target_parse(struct arena *a, const char *raw, size_t len,
                                 bool takes_slashes, struct http_target *ret,
                                 struct error *err);

#endif
