/* Building and writing log lines. The level is the one mutable global of the code base. A line is
 * never split over two writes, so lines of several processes sharing one pipe stay whole. */
#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/text.h"

static const char *const level_names[LOG_LEVEL_MAX] = { "debug", "info", "warn", "error" };
static const char cut_mark[] = " cut=true";
/* Behind this stand the closing quote, the mark and the newline. */
#define LINE_ROOM (sizeof(((struct log_line *)0)->data) - sizeof(cut_mark) - 4)

static atomic_int threshold = LOG_INFO;

/* A line ending in the mark is full; a client's value cannot end so, as its space is quoted. */
static bool is_cut(const struct log_line *l)
{
    size_t n = sizeof(cut_mark) - 1;

    return l->len >= n && memcmp(l->data + l->len - n, cut_mark, n) == 0;
}

static void cut(struct log_line *l)
{
    memcpy(l->data + l->len, cut_mark, sizeof(cut_mark) - 1);
    l->len += sizeof(cut_mark) - 1;
}

static bool put(struct log_line *l, const char *bytes, size_t len)
{
    if (len > LINE_ROOM || l->len > LINE_ROOM - len)
        return false;
    memcpy(l->data + l->len, bytes, len);
    l->len += len;
    return true;
}

static bool is_plain(const char *value)
{
    if (!*value)
        return false;
    for (; *value; value++) {
        bool is_alnum = (*value >= '0' && *value <= '9') || (*value >= 'a' && *value <= 'z') ||
                        (*value >= 'A' && *value <= 'Z');
        if (!is_alnum && !strchr("-._/:@+,~%*[]()", *value))
            return false;
    }
    return true;
}

/* The C1 controls, line and paragraph separators and bidirectional overrides, which a terminal may
 * act upon. */
static bool is_unsafe_char(const unsigned char *p, size_t len)
{
    if (len == 2)
        return p[0] == 0xC2 && p[1] < 0xA0;
    if (len != 3 || p[0] != 0xE2)
        return false;
    return (p[1] == 0x80 && p[2] >= 0xA8 && p[2] <= 0xAE) ||
           (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9);
}

static size_t char_len(const unsigned char *p, size_t rest)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;

    if (len > rest || !text_is_utf8((const char *)p, len))
        return 0;
    return is_unsafe_char(p, len) ? 0 : len;
}

static bool put_escape(struct log_line *l, unsigned char c)
{
    static const char names[][2] = {
        { '\n', 'n' }, { '\r', 'r' }, { '\t', 't' }, { '"', '"' }, { '\\', '\\' }
    };
    char text[8];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (names[i][0] == (char)c) {
            char pair[2] = { '\\', names[i][1] };
            return put(l, pair, sizeof(pair));
        }
    }
    int len = snprintf(text, sizeof(text), "\\x%02x", (unsigned)c);
    return put(l, text, (size_t)len);
}

static void put_quoted(struct log_line *l, const char *value)
{
    const unsigned char *p = (const unsigned char *)value;
    size_t rest = strlen(value);
    bool fits = put(l, "\"", 1);

    while (fits && rest > 0) {
        size_t n = char_len(p, rest);
        bool is_escaped = n == 0 || p[0] < 0x20 || p[0] == 0x7F || p[0] == '"' || p[0] == '\\';
        fits = is_escaped ? put_escape(l, p[0]) : put(l, (const char *)p, n);
        n = n ? n : 1;
        p += n;
        rest -= n;
    }
    l->data[l->len++] = '"'; /* LINE_ROOM leaves a place for it */
    if (!fits)
        cut(l);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool log_parse_level(const char *name, enum log_level *ret)
{
    for (int i = 0; i < LOG_LEVEL_MAX; i++) {
        if (text_eq(level_names[i], name)) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_start(struct log_line *l, enum log_level level, const char *event)
{
    struct timespec now;
    struct tm t = { 0 };

    l->len = 0;
    l->is_on = (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
    if (!l->is_on)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &t);
    int len = snprintf(l->data, LINE_ROOM, "time=%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s",
                       t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
                       now.tv_nsec / 1000000, level_names[level]);
    l->len = (size_t)len;
    log_text(l, "event", event);
}

void log_text(struct log_line *l, const char *key, const char *value)
{
    size_t before = l->len;

    if (!l->is_on || !value || is_cut(l))
        return;
    if (!put(l, " ", 1) || !put(l, key, strlen(key)) || !put(l, "=", 1)) {
        l->len = before;
        cut(l);
        return;
    }
    if (!is_plain(value))
        put_quoted(l, value);
    else if (!put(l, value, strlen(value)))
        put_quoted(l, value); /* quoted, so that what stands before the mark is seen to be cut */
}

void log_int(struct log_line *l, const char *key, int64_t value)
{
    char text[24];

    if (!l->is_on)
        return;
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    log_text(l, key, text);
}

void log_end(struct log_line *l)
{
    if (!l->is_on)
        return;
    l->data[l->len++] = '\n';
    while (write(STDERR_FILENO, l->data, l->len) < 0 && errno == EINTR)
        continue;
    l->is_on = false;
}

void log_note(enum log_level level, const char *event, const char *fmt, ...)
{
    struct log_line l;
    char message[3072];
    va_list ap;

    log_start(&l, level, event);
    if (!l.is_on)
        return;
    va_start(ap, fmt);
    if (vsnprintf(message, sizeof(message), fmt, ap) < 0)
        message[0] = '\0';
    va_end(ap);
    log_text(&l, "message", message);
    log_end(&l);
}

void log_failure(enum log_level level, const char *event, const struct error *err)
{
    struct log_line l;

    log_start(&l, level, event);
    log_text(&l, "code", err->code ? err->code->name : "none");
    log_text(&l, "target", err->target[0] ? err->target : NULL);
    log_text(&l, "message", err->message);
    log_text(&l, "cause", err->cause[0] ? err->cause : NULL);
    log_end(&l);
}
