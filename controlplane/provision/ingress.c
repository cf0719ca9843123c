/* Files of a place where a network is attached, below networks-dir/<key>/: `attachment` (how, and
 * which network or whose, written by ./dev attach, as are the programs' definitions below scan/),
 * links.map (private address → link), subnets.map (prefix → subnet), names.map (host → link, for an
 * ingress that shares one address), `addresses` (held on the namespace's lo), `admitted` (those of
 * approved links, or these links where all share one address, and the ingress), `ended` (what was
 * admitted a moment ago), and below dns/ the zones and their list.
 *
 * Every effect outside is announced by a mark file first and done before the mark goes, so that
 * dying in between loses nothing. */
#include "controlplane/provision/ingress.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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
#define COMMAND_MS     5000
#define RELOAD_S       3 /* a name server that is reloading does not hear of the next change */
#define ENDED_S        3 /* longer than a data plane may take to learn that a link has ended */

struct place {
    struct control *control;
    struct arena *arena;
    const char *dir;
    const char *network_key; /* NULL: no network is attached here now */
    const char *offered_for; /* id of the subscription or group whose networks the API may attach
                                here, lower case; NULL: the configuration names the network */
    const char *name;        /* "namespace n", "interface i", "address a" */
    const char *ingress;     /* its address; NULL: none */
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

static const char *some(const char *text)
{
    return *text ? text : NULL;
}

/* 1 with *p filled, 0 when the place is none (any more). */
static int read_attachment(struct place *p, struct error *err)
{
    const char *space, *interface;
    struct arena *a = p->arena;
    char *text;

    if (read_file(p, path_of(p, "attachment"), &text, err))
        return -1;
    if (!text || !file_exists(path_of(p, "scan")))
        return 0;
    p->network_key = some(text_lower(a, line_value(a, text, "network")));
    p->offered_for = some(text_lower(a, line_value(a, text, "for")));
    p->ingress = some(line_value(a, text, "address"));
    space = some(line_value(a, text, "namespace"));
    interface = some(line_value(a, text, "interface"));
    p->has_namespace = space != NULL;
    p->name = interface ? arena_printf(a, "interface %s", interface)
              : space   ? arena_printf(a, "namespace %s", space)
                        : arena_printf(a, "address %s", p->ingress ? p->ingress : "");
    return 1;
}

static bool is_offered(const struct place *p, const char *id)
{
    size_t len = p->offered_for ? strlen(p->offered_for) : 0;

    return len > 0 && text_starts(text_lower(p->arena, id), p->offered_for) && id[len] == '/';
}

static int load(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct place *p = ctx;
    const char *key = NULL;

    if (p->offered_for) {
        if (attached_at(conn, a, p->name, &key, err) < 0)
            return -1;
        p->network_key = key && is_offered(p, key) ? key : NULL;
    }
    return p->network_key ? attached_load(conn, a, p->network_key, &p->net, err) : 0;
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

/* Signals a program of the network whose mark stands there, again until the mark is keep_s old. One
 * that does not run reads the files when it starts. */
static int tell_program(struct place *p, const char *program, const char *option, const char *mark,
                        int64_t keep_s, struct error *err)
{
    const char *argv[] = { "s6-svc", option, "--",
                           path_of(p, arena_printf(p->arena, "scan/%s", program)), NULL };
    struct stat status;
    int code;

    if (!file_exists(path_of(p, mark)))
        return 0;
    if (proc_run(p->arena, argv, COMMAND_MS, &code, NULL, err))
        return wrap(err, "tell %s", program);
    if (stat(path_of(p, mark), &status) == 0 && clock_wall_s() - status.st_mtime < keep_s)
        return 0;
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

/* Links that end ------------------------------------------------------------------------------- */

/* Adds the lines of `text` that are neither admitted nor there yet; true when there were any. */
static bool add_ended(struct str *ended, const char *text, const char *admitted)
{
    size_t before = ended->len;

    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t len = strcspn(p, "\n");

        if (len > 0 && !text_has_line(admitted, p, len) && !text_has_line(ended->data, p, len))
            str_printf(ended, "%.*s\n", (int)len, p);
    }
    return ended->len > before;
}

static int read_text(struct place *p, const char *name, char **ret, struct error *err)
{
    if (read_file(p, path_of(p, name), ret, err))
        return -1;
    if (!*ret)
        *ret = arena_strdup(p->arena, "");
    return 0;
}

/* Cut again and again until every data plane knows: whoever connects anew before that is let in. */
static int cut_ended(struct place *p, const char *ended, struct error *err)
{
    const char *path = path_of(p, "ended");
    struct stat status;

    if (haproxy_cut(p->arena, path_of(p, "ctl"), ended, err))
        return wrap(err, "connections of links that ended");
    if (stat(path, &status) == 0 && clock_wall_s() - status.st_mtime > ENDED_S &&
        unlink(path) < 0 && errno != ENOENT)
        return fail_errno(err, "unlink %s", path);
    return 0;
}

/* Connections to the address of a link that is not approved any more are cut, whatever they do, and to
 * the ingress when no network is attached any more. An address that many links share tells none of
 * them apart: there the links' identities do. */
static int end_links(struct place *p, struct error *err)
{
    _cleanup_(str_done) struct str admitted, ended;
    char *were_admitted, *were_ended;
    bool is_new;

    str_init(&admitted, FILE_MAX_BYTES);
    str_init(&ended, FILE_MAX_BYTES);
    if (p->network_key && p->ingress)
        str_printf(&admitted, "%s\n", p->ingress);
    for (size_t i = 0; i < p->net.link_count; i++)
        if (p->net.links[i].is_approved)
            str_printf(&admitted, "%s\n",
                       p->has_namespace ? p->net.links[i].address : p->net.links[i].link);
    if (read_text(p, "admitted", &were_admitted, err) || read_text(p, "ended", &were_ended, err))
        return -1;
    (void)add_ended(&ended, were_ended, admitted.data);
    is_new = add_ended(&ended, were_admitted, admitted.data);
    if (str_check(&admitted, err) || str_check(&ended, err))
        return -1;
    if (is_new && file_replace(path_of(p, "ended"), ended.data, ended.len, 0600, err))
        return -1;
    if (write_text(p, "admitted", admitted.data, NULL, err) < 0)
        return -1;
    return ended.len > 0 ? cut_ended(p, ended.data, err) : 0;
}

static int tell_addresses(struct place *p, struct error *err)
{
    if (sync_map(p, p->has_namespace ? "links.map" : "names.map", err) ||
        sync_map(p, "subnets.map", err) || end_links(p, err))
        return -1;
    return tell_program(p, "addresses", "-r", "addresses-changed", 0, err);
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
    size_t count = p->network_key ? ingress_zones(p->arena, &p->net, p->control->settings->domain,
                                                  region_names(p), p->ingress,
                                                  !p->has_namespace, &zones)
                                  : 0;
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

static int sync_place(struct place *p, void *ctx, struct error *err)
{
    int found = read_attachment(p, err);

    (void)ctx;
    if (found <= 0)
        return found;
    _cleanup_(closep) int lock = file_lock(path_of(p, "lock"), err);
    if (lock < 0)
        return -1;
    /* Under the lock: whoever comes later has read what is newer. */
    if (pg_with(p->control->db, p->arena, load, p, err))
        return -1;
    if (write_addresses(p, err) || tell_addresses(p, err))
        return wrap(err, "addresses of %s", p->name);
    if (!p->ingress)
        return 0;
    if (write_names(p, err) || tell_program(p, "dns", "-h", "dns-changed", RELOAD_S, err))
        return wrap(err, "names of %s", p->name);
    return 0;
}

/* Calls fn for every place there is, whatever it returns; the first failure is returned. */
static int each_place(struct control *control, struct arena *a,
                      int (*fn)(struct place *p, void *ctx, struct error *err), void *ctx,
                      struct error *err)
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
        if (fn(&p, ctx, rc ? &next : err))
            rc = -1;
    }
    return rc;
}

int ingress_sync(struct control *control, struct arena *a, struct error *err)
{
    return each_place(control, a, sync_place, NULL, err);
}

struct offer {
    const char *place, *id;
    const char *address;
    bool is_found;
};

static int look(struct place *p, void *ctx, struct error *err)
{
    struct offer *o = ctx;

    if (read_attachment(p, err) < 0)
        return -1;
    if (p->name && text_eq(p->name, o->place) && is_offered(p, o->id)) {
        o->is_found = true;
        o->address = p->ingress;
    }
    return 0;
}

int ingress_offer(struct control *control, struct arena *a, const char *place, const char *id,
                  const char **ret_address, struct error *err)
{
    struct offer o = { .place = place, .id = id };

    if (each_place(control, a, look, &o, err))
        return -1;
    if (!o.is_found)
        return fail(err, &E_INVALID,
                    "The %.100s is not offered to this virtual network. The administrator of the "
                    "host offers it with ./dev attach --for and the id of the network's "
                    "subscription or resource group.",
                    place);
    *ret_address = o.address;
    return 0;
}
