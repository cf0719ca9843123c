/* Bound listening sockets: "127.0.0.1:5000", "[::1]:0", "unix:/path". */
#include "common/http/exchange.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/error.h"
#include "common/base/text.h"

#define BACKLOG 1024

/* A socket file that nobody answers on is left over from a killed process. */
static int remove_stale(const struct sockaddr_un *at, struct error *err)
{
    _cleanup_(closep) int fd = -1;
    struct stat st;

    if (lstat(at->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : fail_errno(err, "stat %s", at->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return fail_cause(err, &E_INVALID, "%s is not a socket", at->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(err, "socket");
    if (connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 || errno != ECONNREFUSED)
        return fail_cause(err, &E_CONFLICT, "%s is in use", at->sun_path);
    if (unlink(at->sun_path) < 0 && errno != ENOENT)
        return fail_errno(err, "unlink %s", at->sun_path);
    return 0;
}

static int open_unix(struct http_listener *l, const char *path, struct error *err)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    _cleanup_(closep) int fd = -1;
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof at.sun_path)
        return fail_cause(err, &E_INVALID, "bad socket path '%s'", path);
    memcpy(at.sun_path, path, len + 1);
    if (remove_stale(&at, err) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(err, "socket");
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0)
        return fail_errno(err, "bind %s", path);
    memcpy(l->unix_path, path, len + 1);
    if (listen(fd, BACKLOG) < 0) {
        int rc = fail_errno(err, "listen %s", path);

        (void)unlink(path);
        return rc;
    }
    l->fd = take_fd(&fd);
    return 0;
}

/* Splits "host:port" or "[host]:port". */
static int split_address(const char *where, char *host, size_t host_cap, const char **ret_port,
                         struct error *err)
{
    const char *colon = strrchr(where, ':'), *start = where, *end = colon;

    if (colon && where[0] == '[' && colon > where && colon[-1] == ']') {
        start++;
        end--;
    } else if (colon && memchr(where, ':', (size_t)(colon - where))) {
        colon = NULL; /* IPv6 without brackets */
    }
    if (!colon || end == start || (size_t)(end - start) >= host_cap)
        return fail_cause(err, &E_INVALID, "bad listen address '%s'", where);
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int bind_address(const struct addrinfo *at, const char *where, int *ret_fd,
                        struct error *err)
{
    _cleanup_(closep) int fd = -1;
    int on = 1, off = 0;

    fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(err, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return fail_errno(err, "SO_REUSEADDR");
    if (at->ai_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0)
        return fail_errno(err, "IPV6_V6ONLY");
    if (bind(fd, at->ai_addr, at->ai_addrlen) < 0)
        return fail_errno(err, "bind %s", where);
    if (listen(fd, BACKLOG) < 0)
        return fail_errno(err, "listen %s", where);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int open_tcp(struct http_listener *l, const char *where, struct error *err)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                              .ai_socktype = SOCK_STREAM };
    struct sockaddr_storage bound = { 0 };
    socklen_t bound_len = sizeof bound;
    struct addrinfo *found;
    const char *port = NULL;
    uint64_t number;
    char host[64];
    int rc;

    if (split_address(where, host, sizeof host, &port, err) < 0)
        return -1;
    if (!text_parse_u64(port, &number) || number > 65535 ||
        getaddrinfo(host, port, &hints, &found) != 0)
        return fail_cause(err, &E_INVALID, "bad listen address '%s'", where);
    rc = bind_address(found, where, &l->fd, err);
    freeaddrinfo(found);
    if (rc < 0)
        return -1;
    if (getsockname(l->fd, (struct sockaddr *)&bound, &bound_len) < 0) {
        rc = fail_errno(err, "getsockname");
        http_listener_close(l);
        return rc;
    }
    l->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                : ((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}

int http_listener_open(struct http_listener *l, const char *where, struct error *err)
{
    memset(l, 0, sizeof *l);
    l->fd = -1;
    if (!where)
        return 0;
    if (text_starts(where, "unix:"))
        return open_unix(l, where + 5, err);
    return open_tcp(l, where, err);
}

void http_listener_close(struct http_listener *l)
{
    if (l->fd < 0)
        return;
    (void)close(take_fd(&l->fd));
    if (l->unix_path[0])
        (void)unlink(l->unix_path);
}
