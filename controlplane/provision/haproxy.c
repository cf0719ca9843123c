/* The admin socket of HAProxy: one connection a command, as its manual describes it (management
 * guide, section 9.3). */
#include "controlplane/provision/haproxy.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"

#define REPLY_MAX_BYTES  ((size_t)8 * 1024 * 1024)
#define SOCKET_TIMEOUT_S 2

/* A connected descriptor in *ret, or -1 there when no HAProxy listens. */
static int open_socket(const char *path, int *ret, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval timeout = { .tv_sec = SOCKET_TIMEOUT_S };
    size_t len = strlen(path);

    *ret = -1;
    if (len >= sizeof(address.sun_path))
        return fail_cause(err, &E_INTERNAL, "%s is too long for a socket", path);
    memcpy(address.sun_path, path, len + 1);
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_errno(err, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
        return fail_errno(err, "socket time-outs");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return 0;
        return fail_cause(err, &E_UNAVAILABLE, "connect %s: %s", path, strerror(errno));
    }
    *ret = take_fd(&fd);
    return 0;
}

static int talk(int fd, const char *command, struct str *reply)
{
    size_t len = strlen(command);
    char buffer[4096];
    ssize_t n;

    if (send(fd, command, len, MSG_NOSIGNAL) != (ssize_t)len)
        return -1;
    while ((n = recv(fd, buffer, sizeof(buffer), 0)) != 0) {
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            str_append(reply, buffer, (size_t)n);
    }
    return 0;
}

int haproxy_tell(struct arena *a, const char *socket_path, const char *command, char **ret_reply,
                 struct error *err)
{
    _cleanup_(closep) int fd = -1;
    _cleanup_(str_done) struct str reply;
    char *line = arena_printf(a, "%s\n", command);

    str_init(&reply, REPLY_MAX_BYTES);
    if (open_socket(socket_path, &fd, err))
        return -1;
    if (fd < 0)
        return 0;
    if (talk(fd, line, &reply))
        return fail_cause(err, &E_UNAVAILABLE, "edge admin socket, '%s': %s", command,
                          strerror(errno));
    if (str_check(&reply, err))
        return wrap(err, "edge admin socket, '%s'", command);
    *ret_reply = str_copy(&reply, a);
    for (size_t n = strlen(*ret_reply); n > 0 && (*ret_reply)[n - 1] == '\n'; n--)
        (*ret_reply)[n - 1] = '\0';
    return 1;
}

int haproxy_do(struct arena *a, const char *socket_path, const char *command, struct error *err)
{
    char *reply;
    int rc = haproxy_tell(a, socket_path, command, &reply, err);

    if (rc == 1 && reply[0])
        return fail_cause(err, &E_UNAVAILABLE, "edge refused '%s': %s", command, reply);
    return rc < 0 ? -1 : 0;
}

/* Of `show map`'s lines, "0x… key value": takes away those that are not wanted; the others as
 * "key value" lines in *ret. */
static int drop_unwanted(struct arena *a, const char *socket_path, const char *map_path,
                         char *shown, const char *text, struct str *ret, struct error *err)
{
    for (char *line = shown, *next; line && *line; line = next) {
        size_t len = strcspn(line, "\n");
        char *entry = memchr(line, ' ', len);

        next = line[len] ? line + len + 1 : NULL;
        if (!entry)
            continue;
        line[len] = '\0';
        *entry++ = '\0';
        if (text_has_line(text, entry, strlen(entry))) {
            str_printf(ret, "%s\n", entry);
            continue;
        }
        if (haproxy_do(a, socket_path, arena_printf(a, "del map %s #%s", map_path, line), err))
            return -1;
    }
    return 0;
}

int haproxy_map_sync(struct arena *a, const char *socket_path, const char *map_path,
                     const char *text, struct error *err)
{
    char *shown;
    int rc = haproxy_tell(a, socket_path, arena_printf(a, "show map %s", map_path), &shown, err);
    _cleanup_(str_done) struct str kept;

    str_init(&kept, REPLY_MAX_BYTES);
    if (rc <= 0)
        return rc;
    if (shown[0] && !text_starts(shown, "0x"))
        return fail_cause(err, &E_UNAVAILABLE, "edge has no map %s: %s", map_path, shown);
    if (drop_unwanted(a, socket_path, map_path, shown, text, &kept, err))
        return -1;
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t len = strcspn(p, "\n");

        if (len == 0 || text_has_line(kept.data, p, len))
            continue;
        if (haproxy_do(a, socket_path, arena_printf(a, "add map %s %.*s", map_path, (int)len, p),
                       err))
            return -1;
    }
    return 0;
}

/* What follows `name` in text[0..len), up to a character of `ends`; "" when it is not there. */
static const char *value_in(struct arena *a, const char *text, size_t len, const char *name,
                            const char *ends)
{
    const char *at = memmem(text, len, name, strlen(name));
    size_t n = 0;

    if (!at)
        return "";
    at += strlen(name);
    while (at + n < text + len && !strchr(ends, at[n]))
        n++;
    return arena_strndup(a, at, n);
}

/* Adds the sources of the connections of the identities, from the table "identity|source". */
static int find_sources(struct arena *a, const char *socket_path, const char *identities,
                        struct str *ret, struct error *err)
{
    char *shown;
    int rc = haproxy_tell(a, socket_path, "show table " HAPROXY_CONNECTIONS, &shown, err);

    for (const char *p = rc == 1 ? shown : ""; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t len = strcspn(p, "\n");
        const char *key = value_in(a, p, len, " key=", " ");
        size_t identity = strcspn(key, "|");

        if (key[identity] && text_has_line(identities, key, identity) &&
            !text_eq(value_in(a, p, len, " use=", " "), "0"))
            str_printf(ret, "%s\n", key + identity + 1);
    }
    return rc < 0 ? -1 : str_check(ret, err);
}

/* Of one session of `show sess all`: the address it came to, on the line of its frontend. */
static const char *session_address(struct arena *a, const char *text)
{
    const char *frontend = strstr(text, "\n  frontend="), *address;
    char *colon;

    if (!frontend)
        return "";
    frontend++;
    address = value_in(a, frontend, strcspn(frontend, "\n"), " addr=", "\n");
    colon = strrchr(address, ':');
    return colon ? arena_strndup(a, address, (size_t)(colon - address)) : "";
}

/* A session that ended meanwhile is none any more; that one of the same name began is as good as
 * impossible, and only makes its client connect again. */
int haproxy_cut(struct arena *a, const char *socket_path, const char *names, struct error *err)
{
    _cleanup_(str_done) struct str sources;
    char *shown, *reply;
    int rc;

    str_init(&sources, REPLY_MAX_BYTES);
    if (find_sources(a, socket_path, names, &sources, err))
        return -1;
    rc = haproxy_tell(a, socket_path, "show sess all", &shown, err);
    if (rc <= 0)
        return rc;
    for (char *p = text_starts(shown, "0x") ? shown : NULL, *next; p; p = next) {
        const char *address, *source;

        next = strstr(p, "\n0x");
        if (next)
            *next++ = '\0';
        address = session_address(a, p);
        source = value_in(a, p, strcspn(p, "\n"), " source=", " \n");
        if (!text_has_line(names, address, strlen(address)) &&
            !text_has_line(sources.data, source, strlen(source)))
            continue;
        if (haproxy_tell(a, socket_path,
                         arena_printf(a, "shutdown session %.*s", (int)strcspn(p, ":"), p), &reply,
                         err) < 0)
            return -1;
    }
    return 0;
}
