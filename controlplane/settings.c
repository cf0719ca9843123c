/* The control plane's settings: one row each, and the defaults that follow from the state
 * directory. */
#include "controlplane/control.h"

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/settings.h"
#include "common/base/text.h"

#define TEXT(name_, member, def_, help_)                                                           \
    {                                                                                              \
        .name = name_, .kind = SETTING_TEXT, .offset = offsetof(struct control_settings, member),  \
        .def = def_, .help = help_                                                                 \
    }
#define NUMBER(name_, member, def_, min_, max_, help_)                                             \
    {                                                                                              \
        .name = name_, .kind = SETTING_INT, .offset = offsetof(struct control_settings, member),   \
        .def = def_, .min = min_, .max = max_, .help = help_                                       \
    }

static const struct setting rows[] = {
    TEXT("state", state, NULL,
         "State directory; /var/lib/portolan for root, else below XDG_STATE_HOME."),
    TEXT("domain", domain, "portolan.localhost", "Domain of all host names."),
    NUMBER("port", port, "8443", 1, 65535, "Public https port, part of URLs unless it is 443."),
    TEXT("control-db", control_db, NULL,
         "libpq URL of the control database; on the private cluster in the state directory."),
    TEXT("migrations", migrations, NULL,
         "Directory with the migrations in control/ and region/; share/migrations of the state."),
    TEXT("regions", regions, "eastus westus2 westeurope northeurope southeastasia",
         "Names of the regions, separated by spaces."),
    TEXT("region-db", region_db, NULL, "libpq URL of a region's database, with {region} in it."),
    TEXT("region-db-of", region_db_of, NULL,
         "Regions whose database is elsewhere: eastus=postgres://…, separated by spaces."),
    TEXT("region-blobs", region_blobs, NULL,
         "Directory of a region's blob store, with {region} in it."),
    TEXT("region-blobs-of", region_blobs_of, NULL,
         "Regions whose blob store is elsewhere: eastus=/directory, separated by spaces."),
    TEXT("listen", listen, NULL, "Management API: plain listener, such as 127.0.0.1:8080; none."),
    TEXT("edge-listen", edge_listen, NULL,
         "Management API: listener behind the edge (PROXY v2); run/management.sock."),
    TEXT("login-listen", login_listen, NULL, "Login host: plain listener; none."),
    TEXT("login-edge-listen", login_edge_listen, NULL,
         "Login host: listener behind the edge; run/login.sock."),
    TEXT("workload-listen", workload_listen, NULL,
         "Tokens of managed identities for workloads on this machine: a loopback address; none."),
    TEXT("workload-identity", workload_identity, NULL,
         "Client id of the managed identity of whoever asks there in the shape of instance metadata."),
    TEXT("graph-listen", graph_listen, NULL, "Graph host: plain listener; none."),
    TEXT("graph-edge-listen", graph_edge_listen, NULL,
         "Graph host: listener behind the edge; run/graph.sock."),
    TEXT("vault-listen", vault_listen, NULL, "Vault hosts: plain listener; none."),
    TEXT("vault-edge-listen", vault_edge_listen, NULL,
         "Vault hosts: listener behind the edge; run/vault.sock."),
    TEXT("blob-listen", blob_listen, NULL, "Storage host: plain listener; none."),
    TEXT("blob-edge-listen", blob_edge_listen, NULL,
         "Storage host: listener behind the edge; run/blob.sock."),
    NUMBER("password-grant", password_grant, "1", 0, 1,
           "1: the token endpoint takes people's names and passwords (az login -u -p)."),
    TEXT("federation-allow", federation_allow, NULL,
         "Address ranges where other OIDC issuers may be, beside public ones."),
    TEXT("federation-ca-file", federation_ca_file, NULL,
         "Certificate authorities of those issuers; the system's."),
    TEXT("links-allow", links_allow, NULL,
         "Address ranges where linked templates may be, beside public ones."),
    TEXT("links-ca-file", links_ca_file, NULL,
         "Certificate authorities of those hosts; the system's."),
    TEXT("import-allow", import_allow, NULL,
         "Address ranges where registries that images are imported from may be, beside public ones."),
    TEXT("import-ca-file", import_ca_file, NULL,
         "Certificate authorities of those registries; the system's."),
    TEXT("edge-secret-file", edge_secret_file, NULL,
         "File with the secret that the edge sends with every connection."),
    TEXT("service-key-file", service_key_file, NULL,
         "File with the key that wraps secrets at rest."),
    TEXT("ca-file", ca_file, NULL, "Certificate authority of the installation."),
    TEXT("secrets-file", secrets_file, NULL,
         "Where init keeps the first service principal's secret."),
    TEXT("dataplane", dataplane, NULL, "Program of the data planes."),
    TEXT("dataplane-ports", dataplane_ports, "20000-29999",
         "Loopback ports that data planes may take."),
    TEXT("supervisor", supervisor, "s6", "What runs the data planes: s6."),
    TEXT("supervisor-dir", supervisor_dir, NULL,
         "Directory with the supervisor's scan/ and services/."),
    TEXT("networks-dir", networks_dir, NULL,
         "Directory of the attached virtual networks, as ./dev attach makes them."),
    TEXT("edge-dir", edge_dir, NULL, "Directory with the edge's map files and admin socket."),
    NUMBER("reconcilers", reconcilers, "8", 1, 256, "Resources worked on at once."),
    NUMBER("workers", workers, "16", 1, 1024, "Requests worked on at once, for each host."),
    { .name = "tier-rates",
      .kind = SETTING_BOOL,
      .offset = offsetof(struct control_settings, tier_rates),
      .def = "true",
      .help = "Registries answer 429 past the request rates of their tier." },
    NUMBER("reads-per-minute", reads_per_minute, "3000000", 0, 1000000000,
           "Reads that one identity may make in one subscription; 0: no limit."),
    NUMBER("writes-per-minute", writes_per_minute, "600000", 0, 1000000000,
           "The same of writes."),
    NUMBER("deletes-per-minute", deletes_per_minute, "600000", 0, 1000000000,
           "The same of deletes."),
    TEXT("log-level", log_level, "info", "debug, info, warn or error."),
    NUMBER("ready-fd", ready_fd, "-1", -1, 1023,
           "Descriptor that gets a newline when the servers listen."),
    { 0 },
};

/* What is below the state directory when nothing else is said. */
static const struct {
    size_t offset;
    const char *path;
} below_state[] = {
    { offsetof(struct control_settings, migrations), "share/migrations" },
    { offsetof(struct control_settings, region_blobs), "regions/{region}/blobs" },
    { offsetof(struct control_settings, edge_secret_file), "keys/edge.secret" },
    { offsetof(struct control_settings, service_key_file), "keys/service.key" },
    { offsetof(struct control_settings, ca_file), "ca/ca.crt" },
    { offsetof(struct control_settings, secrets_file), "secrets.env" },
    { offsetof(struct control_settings, dataplane), "bin/portolan-dataplane" },
    { offsetof(struct control_settings, supervisor_dir), "s6" },
    { offsetof(struct control_settings, edge_dir), "edge" },
    { offsetof(struct control_settings, networks_dir), "net" },
};

static char **text_at(struct control_settings *s, size_t offset)
{
    return (char **)((char *)s + offset);
}

static char *default_state(struct arena *a, struct error *err)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (geteuid() == 0)
        return arena_strdup(a, "/var/lib/portolan");
    if (xdg && xdg[0] == '/')
        return arena_printf(a, "%s/portolan", xdg);
    if (home && home[0] == '/')
        return arena_printf(a, "%s/.local/state/portolan", home);
    (void)fail(err, &E_INVALID, "Neither --state nor HOME is set.");
    return NULL;
}

/* Data planes and the supervisor run in other directories, so a relative path would mean different
 * files to them. */
static int check_path(const char *name, const char *path, struct error *err)
{
    if (path[0] != '/')
        return fail(err, &E_INVALID, "The setting %s must be an absolute path, not '%s'.", name,
                    path);
    if (strpbrk(path, "\n\r"))
        return fail(err, &E_INVALID, "The setting %s holds a line break.", name);
    return 0;
}

static int complete(struct arena *a, struct control_settings *s, struct error *err)
{
    if (!s->state && !(s->state = default_state(a, err)))
        return -1;
    if (check_path("state", s->state, err))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(below_state); i++) {
        char **value = text_at(s, below_state[i].offset);

        if (!*value)
            *value = arena_printf(a, "%s/%s", s->state, below_state[i].path);
        for (const struct setting *row = rows; row->name; row++)
            if (row->offset == below_state[i].offset && check_path(row->name, *value, err))
                return -1;
    }
    return 0;
}

/* The databases of the private cluster, and the sockets that the edge talks to. */
static void complete_addresses(struct arena *a, struct control_settings *s)
{
    char *host = text_percent_encode(a, arena_printf(a, "%s/pg/run", s->state));

    if (!s->control_db)
        s->control_db = arena_printf(a, "postgresql:///portolan_control?host=%s&user=portolan",
                                     host);
    if (!s->region_db)
        s->region_db = arena_printf(a, "postgresql:///portolan_{region}?host=%s&user=portolan",
                                    host);
    if (!s->edge_listen)
        s->edge_listen = arena_printf(a, "unix:%s/run/management.sock", s->state);
    if (!s->login_edge_listen)
        s->login_edge_listen = arena_printf(a, "unix:%s/run/login.sock", s->state);
    if (!s->graph_edge_listen)
        s->graph_edge_listen = arena_printf(a, "unix:%s/run/graph.sock", s->state);
    if (!s->vault_edge_listen)
        s->vault_edge_listen = arena_printf(a, "unix:%s/run/vault.sock", s->state);
    if (!s->blob_edge_listen)
        s->blob_edge_listen = arena_printf(a, "unix:%s/run/blob.sock", s->state);
}

int control_settings_load(struct arena *a, int argc, char **argv, int first,
                          struct control_settings *ret, char ***ret_args, struct error *err)
{
    *ret = (struct control_settings){ .port = 0 };
    if (settings_load(a, rows, argc, argv, first, ret, ret_args, err) || complete(a, ret, err))
        return -1;
    complete_addresses(a, ret);
    return 0;
}

char *control_settings_help(struct arena *a)
{
    return settings_help(a, rows);
}
