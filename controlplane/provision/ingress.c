/* Files of an attached network, below networks-dir/<key>/: `attachment` (how it is attached, written
 * by ./dev attach, as are the programs' definitions below scan/), links.map (private address → link),
 * subnets.map (prefix → subnet), names.map (host → link, for an ingress that shares one address),
 * `addresses` (held on the namespace's lo), and below dns/ the zones and their list.
 *
 * Every effect outside is announced by a mark file first and done before the mark goes, so that dying
 * in between loses nothing. */
#include "controlplane/provision/ingress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/pg/pg.h"
#include "common/proc/proc.h"
#include "controlplane/control.h"
#include "controlplane/provision/haproxy.h"
#include "controlplane/provision/ingress_zones.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/attached.h"

#define FILE_MAX_BYTES ((size_t)32 * 1024 * 1024)
#define COMMAND_MS 5000

struct place {
    struct control *control;
    struct arena *arena;
    const char *dir;
    const char *network_key;
    const char *ingress; /* its address; NULL: none */
    bool has_namespace;
    struct attached net;
};

/* The attachment ------------------------------------------------------------------------------- */

static const char *line_value(struct arena *a, const char *text, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (strncmp(p, name, len) == 0 && p[len] == '=')
            return arena_strndup(a, p + len + 1, strcspn(p + len + 1, "\n"));
    return "";
}

static const char *path_of(const struct place *p, const char *name)
{
    return arena_printf(p->arena, "%s/%s", p->dir, name);
}

/* The file's text; NULL when there is none. */
static int read_file(struct place *p, const char *path, char **ret, struct error *err)
{
    struct error local;

    *ret = NULL;
    if (file_read(p->arena, path, FILE_MAX_BYTES, ret, NULL, &local) == 0 ||
        local.code == &E_NOT_FOUND)
        return 0;
    *err = local;
    return -1;
}

/* 1 with *p filled, 0 when no network is attached there (any more). */
static int read_attachment(struct place *p, struct error *err)
{
    const char *address;
    char *text;

    if (read_file(p, path_of(p, "attachment"), &text, err))
        return -1;
    if (!text || !file_exists(path_of(p, "scan")))
        return 0;
    p->network_key = text_lower(p->arena, line_value(p->arena, text, "network"));
    address = line_value(p->arena, text, "address");
    p->ingress = *address ? address : NULL;
    p->has_namespace = *line_value(p->arena, text, "namespace") != '\0';
    return 1;
}

static int load(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct place *p = ctx;

    return attached_load(conn, a, p->network_key, &p->net, err);
}

static int lock_place(const struct place *p, struct error *err)
{
    const char *path = path_of(p, "lock");
    _cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail_errno(err, "open %s", path);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return fail_errno(err, "lock %s", path);
    return take_fd(&fd);
}

/* Files and programs --------------------------------------------------------------------------- */

/* 1 when the file was changed; the mark (NULL: none) is made before. */
static int write_text(struct place *p, const char *name, const char *text, const char *mark,
                      struct error *err)
{
    const char *path = path_of(p, name);
    char *was;

    if (read_file(p, path, &was, err))
        return -1;
    if (was && text_eq(was, text))
        return 0;
    if (mark && file_replace(path_of(p, mark), "", 0, 0600, err))
        return -1;
    return file_replace(path, text, strlen(text), 0600, err) ? -1 : 1;
}

static int write_map(struct place *p, const char *name, const struct str *text, struct error *err)
{
    if (str_check(text, err) || write_text(p, name, text->data, NULL, err) < 0)
        return wrap(err, "%s", name);
    return 0;
}

static int sync_map(struct place *p, const char *name, struct error *err)
{
    char *text;

    if (read_file(p, path_of(p, name), &text, err))
        return -1;
    return haproxy_map_sync(p->arena, path_of(p, "ctl"), path_of(p, name), text ? text : "", err);
}

/* Signals a program of the network whose mark stands there. One that does not run reads the files
 * when it starts. */
static int tell_program(struct place *p, const char *program, const char *option,
                        const char *mark, struct error *err)
{
    const char *argv[] = { "s6-svc", option, "--",
                           path_of(p, arena_printf(p->arena, "scan/%s", program)), NULL };
    int code;

    if (!file_exists(path_of(p, mark)))
        return 0;
    if (proc_run(p->arena, argv, COMMAND_MS, &code, NULL, err))
        return wrap(err, "tell %s", program);
    if (unlink(path_of(p, mark)) < 0 && errno != ENOENT)
        return fail_errno(err, "unlink %s", mark);
    return 0;
}

/* Addresses ------------------------------------------------------------------------------------ */

static int write_addresses(struct place *p, struct error *err)
{
    const struct attached *net = &p->net;
    _cleanup_(str_done) struct str links, names, held, subnets;

    str_init(&links, FILE_MAX_BYTES);
    str_init(&names, FILE_MAX_BYTES);
    str_init(&held, FILE_MAX_BYTES);
    str_init(&subnets, FILE_MAX_BYTES);
    for (size_t i = 0; i < net->link_count; i++) {
        const struct attached_link *l = &net->links[i];

        str_printf(&links, "%s %s\n", l->address, l->link);
        str_printf(&names, "%s %s\n", l->fqdn, l->link);
        str_printf(&held, "%s/%d\n", l->address, strchr(l->address, ':') ? 128 : 32);
    }
    for (size_t i = 0; i < net->subnet_count; i++)
        str_printf(&subnets, "%s " INGRESS_SUBNET "%s\n", net->subnets[i].prefix,
                   net->subnets[i].uid);
    if (write_map(p, "links.map", &links, err) || write_map(p, "subnets.map", &subnets, err) ||
        write_map(p, "names.map", &names, err))
        return -1;
    if (!p->has_namespace)
        return 0;
    return write_text(p, "addresses", held.data, "addresses-changed", err) < 0 ? -1 : 0;
}

static int tell_addresses(struct place *p, struct error *err)
{
    if (sync_map(p, p->has_namespace ? "links.map" : "names.map", err) ||
        sync_map(p, "subnets.map", err))
        return -1;
    return tell_program(p, "addresses", "-r", "addresses-changed", err);
}

/* Names ---------------------------------------------------------------------------------------- */

static const char *const *region_names(const struct place *p)
{
    const struct region *regions = p->control->regions;
    const char **names;
    size_t count = 0;

    while (regions[count].name)
        count++;
    names = arena_array(p->arena, count + 1, sizeof(*names));
    for (size_t i = 0; i < count; i++)
        names[i] = regions[i].name;
    return names;
}

static int write_zone(struct place *p, const struct ingress_zone *zone, struct error *err)
{
    const char *name = arena_printf(p->arena, "dns/%s.zone", zone->name);
    char *was, *text;

    if (read_file(p, path_of(p, name), &was, err))
        return -1;
    text = ingress_zone_text(p->arena, zone, was, clock_wall_s());
    return text ? write_text(p, name, text, "dns-changed", err) : 0;
}

static int write_names(struct place *p, struct error *err)
{
    struct ingress_zone *zones;
    size_t count = ingress_zones(p->arena, &p->net, p->control->settings->domain, region_names(p),
                                 p->ingress, &zones);
    _cleanup_(str_done) struct str list;

    str_init(&list, FILE_MAX_BYTES);
    str_puts(&list, "zone:\n");
    for (size_t i = 0; i < count; i++) {
        if (write_zone(p, &zones[i], err) < 0)
            return wrap(err, "zone %s", zones[i].name);
        str_printf(&list, "  - domain: \"%s\"\n", zones[i].name);
    }
    if (str_check(&list, err))
        return -1;
    return write_text(p, "dns/zones.conf", list.data, "dns-changed", err) < 0 ? -1 : 0;
}

/* All ------------------------------------------------------------------------------------------ */

static int sync_place(struct place *p, struct error *err)
{
    int found = read_attachment(p, err);

    if (found <= 0)
        return found;
    _cleanup_(closep) int lock = lock_place(p, err);
    if (lock < 0)
        return -1;
    /* Under the lock: whoever comes later has read what is newer. */
    if (pg_with(p->control->db, p->arena, load, p, err))
        return -1;
    if (write_addresses(p, err) || tell_addresses(p, err))
        return wrap(err, "addresses of %s", p->network_key);
    if (!p->ingress)
        return 0;
    if (write_names(p, err) || tell_program(p, "dns", "-h", "dns-changed", err))
        return wrap(err, "names of %s", p->network_key);
    return 0;
}

int ingress_sync(struct control *control, struct arena *a, struct error *err)
{
    const char *root = control->settings->networks_dir;
    _cleanup_(closedirp) DIR *dir = opendir(root);
    struct dirent *entry;
    struct error next;
    int rc = 0;

    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "open %s", root);
    while ((entry = readdir(dir))) {
        struct place p = { .control = control, .arena = a };

        if (entry->d_name[0] == '.')
            continue;
        p.dir = arena_printf(a, "%s/%s", root, entry->d_name);
        if (sync_place(&p, rc ? &next : err))
            rc = -1;
    }
    return rc;
}
