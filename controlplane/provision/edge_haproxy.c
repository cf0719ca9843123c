/* The HAProxy edge. Two map files in edge-dir are the durable truth: hosts.map (host → address) and
 * ports.map (host → port); HAProxy reads them when it starts, and a running one is told through its
 * admin socket. One lock on the directory serialises control planes, so the files and the running
 * edge change together. HAProxy must name the maps by the same absolute paths. */
#include "controlplane/provision/edge.h"

#include <dirent.h>
#include <errno.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "controlplane/control.h"
#include "controlplane/provision/haproxy.h"

#define MAP_MAX_BYTES ((size_t)32 * 1024 * 1024)
#define HOST_MAX 253

static const char *const map_names[] = { "hosts.map", "ports.map" };

enum { MAP_HOSTS, MAP_PORTS, MAP_COUNT };

/* The length of the line at p, its newline included. */
static size_t line_len(const char *p)
{
    const char *end = strchr(p, '\n');

    return end ? (size_t)(end - p) + 1 : strlen(p);
}

static bool line_has_key(const char *line, const char *key)
{
    size_t len = strlen(key);

    return strncmp(line, key, len) == 0 && line[len] == ' ';
}

const char *edge_map_edit(struct arena *a, const char *text, const char *key, const char *value)
{
    char *wanted = value ? arena_printf(a, "%s %s\n", key, value) : NULL;
    bool is_there = false, is_changed = false;
    _cleanup_(str_done) struct str out;

    str_init(&out, MAP_MAX_BYTES + 1024);
    for (const char *p = text; *p;) {
        size_t len = line_len(p);
        bool is_key = line_has_key(p, key);
        bool is_wanted = is_key && wanted && !is_there && strlen(wanted) == len &&
                         memcmp(p, wanted, len) == 0;

        if (is_wanted)
            is_there = true;
        if (!is_key || is_wanted)
            str_append(&out, p, len);
        else
            is_changed = true;
        p += len;
    }
    if (wanted && !is_there) {
        if (out.len > 0 && out.data[out.len - 1] != '\n')
            str_putc(&out, '\n');
        str_puts(&out, wanted);
        is_changed = true;
    }
    return is_changed ? str_copy(&out, a) : text;
}

static int check_host(const char *host, struct error *err)
{
    size_t len = strlen(host);

    if (len == 0 || len > HOST_MAX ||
        strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") != len)
        return fail_cause(err, &E_INTERNAL, "'%s' is not a host name for the edge", host);
    return 0;
}

static char *map_path(struct control *control, struct arena *a, int map)
{
    return arena_printf(a, "%s/%s", control->settings->edge_dir, map_names[map]);
}

/* As file_lock() says. */
static int lock_maps(struct control *control, struct arena *a, struct error *err)
{
    return file_lock(arena_printf(a, "%s/maps.lock", control->settings->edge_dir), err);
}

static int read_map(struct arena *a, const char *path, char **ret, struct error *err)
{
    struct error local;

    if (file_read(a, path, MAP_MAX_BYTES, ret, NULL, &local) == 0)
        return 0;
    if (local.code != &E_NOT_FOUND) {
        *err = local;
        return -1;
    }
    *ret = arena_strdup(a, "");
    return 0;
}

static int write_map(struct arena *a, const char *path, const char *host, const char *value,
                     struct error *err)
{
    const char *now;
    char *was;

    if (read_map(a, path, &was, err))
        return -1;
    now = edge_map_edit(a, was, host, value);
    if (now == was)
        return 0;
    return file_replace(path, now, strlen(now), 0600, err);
}

/* The running edge ----------------------------------------------------------------------------- */

/* Brings one entry of the running edge to value (NULL: absent). */
static int tell_map(struct control *control, struct arena *a, const char *path, const char *host,
                    const char *value, struct error *err)
{
    const char *socket_path = arena_printf(a, "%s/admin.sock", control->settings->edge_dir);
    char *reply;
    int rc = haproxy_tell(a, socket_path, arena_printf(a, "get map %s %s", path, host), &reply,
                          err);
    bool is_found;

    if (rc <= 0)
        return rc;
    is_found = strstr(reply, "found=yes") != NULL;
    if (!is_found && !strstr(reply, "found=no"))
        return fail_cause(err, &E_UNAVAILABLE, "edge has no map %s: %s", path, reply);
    if (!value && !is_found)
        return 0;
    if (!value)
        return haproxy_do(a, socket_path, arena_printf(a, "del map %s %s", path, host), err);
    if (is_found && strstr(reply, arena_printf(a, "value=\"%s\"", value)))
        return 0;
    return haproxy_do(a, socket_path,
                      arena_printf(a, "%s map %s %s %s", is_found ? "set" : "add", path, host,
                                   value),
                      err);
}

/* The driver ----------------------------------------------------------------------------------- */

static int set_entry(struct control *control, struct arena *a, int map, const char *host,
                     const char *value, struct error *err)
{
    char *path = map_path(control, a, map);

    if (write_map(a, path, host, value, err))
        return wrap(err, "edge map");
    return tell_map(control, a, path, host, value, err);
}

/* The port comes first: whoever finds the host must find its port. */
static int haproxy_ensure(struct control *control, struct arena *a, const char *host,
                          const char *address, int port, struct error *err)
{
    if (check_host(host, err))
        return -1;
    _cleanup_(closep) int lock = lock_maps(control, a, err);
    if (lock < 0)
        return -1;
    if (set_entry(control, a, MAP_PORTS, host, arena_printf(a, "%d", port), err))
        return -1;
    return set_entry(control, a, MAP_HOSTS, host, address, err);
}

static int haproxy_remove(struct control *control, struct arena *a, const char *host,
                          struct error *err)
{
    if (check_host(host, err))
        return -1;
    _cleanup_(closep) int lock = lock_maps(control, a, err);
    if (lock < 0)
        return -1;
    if (set_entry(control, a, MAP_HOSTS, host, NULL, err))
        return -1;
    return set_entry(control, a, MAP_PORTS, host, NULL, err);
}

/* Temporary files of a writer that was killed. The lock is held, so nobody is writing. */
static int clear_debris(struct control *control, struct error *err)
{
    _cleanup_(closedirp) DIR *dir = opendir(control->settings->edge_dir);
    struct dirent *entry;

    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "open edge-dir");
    while ((entry = readdir(dir)))
        for (size_t map = 0; map < MAP_COUNT; map++)
            if (entry->d_name[0] == '.' && text_starts(entry->d_name + 1, map_names[map]) &&
                unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
                return fail_errno(err, "unlink %s", entry->d_name);
    return 0;
}

static int haproxy_list(struct control *control, struct arena *a, char ***ret_hosts,
                        size_t *ret_count, struct error *err)
{
    char *texts[MAP_COUNT];
    size_t lines = 0, count = 0;
    _cleanup_(closep) int lock = lock_maps(control, a, err);

    if (lock < 0 || clear_debris(control, err))
        return -1;
    for (int map = 0; map < MAP_COUNT; map++) {
        if (read_map(a, map_path(control, a, map), &texts[map], err))
            return -1;
        for (const char *p = texts[map]; *p; p += line_len(p))
            lines++;
    }
    char **hosts = arena_array(a, lines + 1, sizeof(*hosts));
    for (int map = 0; map < MAP_COUNT; map++)
        for (const char *p = texts[map]; *p; p += line_len(p)) {
            size_t len = strcspn(p, " \n");

            if (len > 0 && p[0] != '#')
                hosts[count++] = arena_strndup(a, p, len);
        }
    *ret_hosts = hosts;
    *ret_count = count;
    return 0;
}

const struct edge_driver haproxy_driver = {
    .name = "haproxy",
    .ensure = haproxy_ensure,
    .remove = haproxy_remove,
    .list = haproxy_list,
};
