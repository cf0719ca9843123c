/* The frame of every page of the login host, and the headers that keep it ours. */
#include "controlplane/identity/pages.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/http/server.h"

#define ESCAPED_MAX ((size_t)16 * 1024)

static const char page_head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Sign in</title>\n"
    "<style>body{font:16px system-ui,sans-serif;max-width:22rem;margin:12vh auto;padding:0 1rem}"
    "label{display:block;margin:1rem 0 .25rem}input{width:100%;font:inherit;padding:.5rem;"
    "box-sizing:border-box}button{font:inherit;margin-top:1.5rem;padding:.5rem 1.5rem}"
    "p.wrong{color:#a00}</style></head><body>\n";
static const char page_foot[] = "</body></html>\n";

/* A form that is sent from here says so in its Origin header; see external.c. */
void page_reply(struct http_request *req, int status, const char *body)
{
    const char *text = arena_printf(req->arena, "%s%s%s", page_head, body, page_foot);
    http_reply_header(req, "Cache-Control", "no-store");
    http_reply_header(req, "Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                      "frame-ancestors 'none'");
    http_reply_header(req, "X-Frame-Options", "DENY");
    http_reply_header(req, "X-Content-Type-Options", "nosniff");
    http_reply_header(req, "Referrer-Policy", "same-origin");
    http_reply_bytes(req, status, "text/html; charset=utf-8", text, strlen(text));
}

void page_note(struct http_request *req, int status, const char *title, const char *text)
{
    if (status == 401 || status == 403)
        req->plane = arena_printf(req->arena, "sign-in: %.400s", text);
    page_reply(
        req, status,
        arena_printf(req->arena, "<h1>%s</h1><p>%s</p>\n", title, page_escape(req->arena, text)));
}

const char *page_escape(struct arena *a, const char *text)
{
    _cleanup_(str_done) struct str s = { 0 };

    str_init(&s, ESCAPED_MAX);
    for (; *text; text++) {
        if (strchr("&<>\"'", *text))
            str_printf(&s, "&#%d;", *text);
        else
            str_putc(&s, *text);
    }
    return str_copy(&s, a);
}
