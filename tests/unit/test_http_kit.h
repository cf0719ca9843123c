/* A small raw client and a counting plane for the tests of common/http. The client writes bytes as
 * they are given and reads one response at a time, so tests can break every rule a real client
 * keeps. Include common headers before this one, and cmocka last. */
#ifndef PORTOLAN_UNIT_TEST_HTTP_KIT_H
#define PORTOLAN_UNIT_TEST_HTTP_KIT_H

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/http/server.h"

#include <cmocka.h>

#define KIT_WAIT_S 8

struct response {
    int status; /* 0: the connection ended before a response */
    char head[8192];
    char *body; /* malloc'd */
    size_t body_len;
};

static inline int kit_connect(int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct timeval wait = { .tv_sec = KIT_WAIT_S };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static inline int kit_connect_unix(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(at.sun_path, path, strlen(path) + 1);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* False when the peer has closed. */
static inline bool kit_send(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;

    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static inline bool kit_puts(int fd, const char *text)
{
    return kit_send(fd, text, strlen(text));
}

static inline size_t kit_read_exactly(int fd, char *to, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = recv(fd, to + have, len - have, 0);

        if (n <= 0)
            break;
        have += (size_t)n;
    }
    return have;
}

/* Value of a response header, copied into to; NULL when absent. */
static inline const char *kit_header(const struct response *r, const char *name, char *to,
                                     size_t cap)
{
    const char *line = strstr(r->head, "\r\n");
    size_t len = strlen(name);

    while (line && line[2]) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            (void)snprintf(to, cap, "%.*s", (int)strcspn(line + len + 2, "\r"), line + len + 2);
            return to;
        }
        line = strstr(line, "\r\n");
    }
    return NULL;
}

/* One response; its body by Content-Length (none for HEAD). */
static inline struct response kit_read(int fd, bool is_head)
{
    struct response r = { 0 };
    char text[64];
    size_t n = 0;

    while (n + 1 < sizeof r.head && (n < 4 || memcmp(r.head + n - 4, "\r\n\r\n", 4) != 0)) {
        if (recv(fd, r.head + n, 1, 0) != 1)
            return r;
        n++;
    }
    assert_true(strncmp(r.head, "HTTP/1.1 ", 9) == 0);
    r.status = (int)strtol(r.head + 9, NULL, 10);
    if (r.status == 100)
        return r;
    if (kit_header(&r, "Content-Length", text, sizeof text) && !is_head && r.status != 304) {
        size_t want = strtoul(text, NULL, 10);

        r.body = calloc(1, want + 1);
        assert_non_null(r.body);
        r.body_len = kit_read_exactly(fd, r.body, want);
    }
    return r;
}

static inline bool kit_is_closed(int fd)
{
    char c;

    return recv(fd, &c, 1, 0) <= 0;
}

/* Sends and expects a status and, when want is not NULL, the body. */
static inline void kit_expect(int fd, const char *request, int status, const char *want)
{
    struct response r;

    (void)kit_puts(fd, request);
    r = kit_read(fd, strncmp(request, "HEAD", 4) == 0);
    if (r.status != status || (want && (!r.body || strcmp(r.body, want) != 0)))
        fail_msg("%.60s: %d, body %s", request, r.status, r.body ? r.body : "-");
    free(r.body);
}

/* Waits up to 5 s for a counter to reach a value. */
static inline bool kit_wait(atomic_int *counter, int value)
{
    for (int i = 0; i < 1000 && atomic_load(counter) < value; i++)
        clock_sleep_ms(5);
    return atomic_load(counter) >= value;
}

#endif
