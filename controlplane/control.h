/* The running control plane: settings, pools, keys and drivers, made once in main and shared by
 * request handlers and reconcile workers. Everything in it is thread-safe or constant. */
#ifndef PORTOLAN_CONTROLPLANE_CONTROL_H
#define PORTOLAN_CONTROLPLANE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/secret.h"

struct arena;
struct client;
struct directory;
struct edge_driver;
struct error;
struct pg_pool;
struct region;
struct supervisor_driver;

/* One row per setting stands in controlplane/settings.c. */
struct control_settings {
    char *state;            /* the state directory */
    char *control_db;       /* libpq URL */
    char *migrations;       /* directory with control/ and region/ */
    char *domain;           /* "portolan.localhost" */
    int64_t port;           /* public https port, part of URLs unless 443 */
    char *listen;           /* management API: plain listener, or NULL */
    char *edge_listen;      /* management API: listener behind the edge, with PROXY v2 */
    char *login_listen;     /* login host: plain listener, or NULL */
    char *workload_listen;   /* for workloads on this machine: plain listener, or NULL */
    char *workload_identity; /* client id of whoever asks there for metadata, or NULL */
    char *login_edge_listen; /* login host: listener behind the edge */
    char *graph_listen;     /* graph host: plain listener, or NULL */
    char *graph_edge_listen; /* graph host: listener behind the edge */
    char *vault_listen;      /* vault hosts: plain listener, or NULL */
    char *vault_edge_listen; /* vault hosts: listener behind the edge */
    char *blob_listen;       /* storage host: plain listener; NULL or "": none */
    char *blob_edge_listen;  /* storage host: listener behind the edge */
    int64_t password_grant; /* 1: clients may send people's passwords to the token endpoint */
    char *federation_allow; /* address ranges of OIDC issuers beside public ones; spaces between */
    char *links_allow;      /* address ranges of linked templates beside public ones */
    char *links_ca_file;    /* what their certificates are checked by; NULL: the system's */
    char *federation_ca_file; /* what their certificates are checked by; NULL: the system's */
    char *import_allow;      /* address ranges of import sources beside public ones */
    char *import_ca_file;    /* what their certificates are checked by; NULL: the system's */
    char *edge_secret_file;
    char *service_key_file;
    char *ca_file;
    char *secrets_file;     /* where init keeps the first service principal's secret */
    char *regions;          /* "eastus westus2 …" */
    char *region_db;        /* libpq URL with {region} */
    char *region_db_of;     /* "eastus=libpq URL …" instead, or NULL */
    char *region_blobs;     /* path or URL with {region} */
    char *region_blobs_of;  /* "eastus=path …" instead, or NULL */
    char *dataplane;        /* program */
    char *dataplane_ports;  /* "20000-29999": where embedded data planes listen */
    char *supervisor;       /* "s6" */
    char *supervisor_dir;   /* s6 scan directory */
    char *edge_dir;         /* where the edge's map files and admin socket are */
    char *networks_dir;     /* what attached virtual networks work from */
    int64_t reconcilers;    /* reconcile workers */
    int64_t workers;        /* request workers */
    bool tier_rates;          /* registries keep the request rates of their tier */
    int64_t reads_per_minute; /* of one identity in one subscription; 0: no limit */
    int64_t writes_per_minute;
    int64_t deletes_per_minute;
    char *log_level;
    int64_t ready_fd;       /* gets a newline when the servers listen; negative: none */
};

struct control {
    const struct control_settings *settings;
    struct pg_pool *db;              /* control database */
    struct service_key service_key;  /* wraps secrets at rest */
    struct directory *directory;     /* identity/: keys, principals */
    const struct supervisor_driver *supervisor;
    const struct edge_driver *edge;
    struct region *regions;          /* provision/region.h */
    const char *management_url;      /* "https://management.portolan.localhost:8443", no slash */
    const char *login_url;           /* "https://login.portolan.localhost:8443" */
    const char *graph_url;
    const char *tenant_id;           /* the installation's tenant */
    char worker_id[37];              /* uuid of this process */
    struct arena *arena;             /* what lives as long as the control plane */
};

/* settings.c: reads flags, environment and file; what is not set follows from the state
 * directory. ret_args: what argv holds beside flags. */
MUST_CHECK int control_settings_load(struct arena *a, int argc, char **argv, int first,
                                     struct control_settings *ret, char ***ret_args,
                                     struct error *err);
char *control_settings_help(struct arena *a);

/* control.c. control_open() needs no database; the service key's file is made when may_create_key.
 * control_connect() loads the regions and opens the directory; after a failure it may be called
 * again. control_close() accepts whatever was reached. */
MUST_CHECK int control_open(const struct control_settings *settings, bool may_create_key,
                            struct control *ret, struct error *err);
MUST_CHECK int control_connect(struct control *control, struct error *err);
/* The first start: migrates the control database, seeds the regions, migrates theirs, makes tenant,
 * subscription and first service principal. Idempotent. */
MUST_CHECK int control_init(struct control *control, struct error *err);
void control_close(struct control *control);

#endif
