/* portolan-controlplane: `init` makes the databases ready, `serve` runs the management API, the
 * login, graph, vault and storage hosts and the reconcile loop, `--dump` prints what the tables say. */
#include <poll.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/http/server.h"
#include "common/proc/proc.h"
#include "controlplane/api/arm.h"
#include "controlplane/api/dump.h"
#include "controlplane/control.h"
#include "controlplane/deployments/worker.h"
#include "controlplane/identity/console.h"
#include "controlplane/identity/identity.h"
#include "controlplane/identity/workload.h"
#include "controlplane/keyvault/keyvault.h"
#include "controlplane/provision/ingress.h"
#include "controlplane/reconcile/loop.h"
#include "controlplane/storage/storage.h"

#define EVENT_THREADS 2
#define RETRY_MS 500
#define REMIND_MS 30000
#define HTTP_GRACE_MS 3000
#define RECONCILE_GRACE_MS 10000
#define SECRET_FILE_MAX 4096

static const char usage[] =
    "portolan-controlplane: the management plane of a container registry service\n"
    "\n"
    "  portolan-controlplane init [settings]     make databases, regions, first service principal\n"
    "  portolan-controlplane serve [settings]    run\n"
    "  portolan-controlplane directory … [settings]  users, applications, roles; see below\n"
    "  portolan-controlplane --dump types|routes|operations|states|tiers|openapi\n"
    "  portolan-controlplane --help | --version\n"
    "\n"
    "Settings are flags, PORTOLAN_… environment variables, or lines of the file --config names:\n";

struct servers {
    struct http_app arm, login, graph, vault, blob, workload;
    struct http_server *management, *identity, *directory, *vaults, *blobs, *workloads;
};

static int complain(const struct error *err)
{
    (void)fprintf(stderr, "portolan-controlplane: %s\n", err->message);
    if (err->cause[0])
        (void)fprintf(stderr, "  cause: %s\n", err->cause);
    return 1;
}

/* ret_args: NULL where no words beside settings are expected. */
static int load_settings(struct arena *a, int argc, char **argv, struct control_settings *ret,
                         char ***ret_args, struct error *err)
{
    enum log_level level;
    char **args;

    if (control_settings_load(a, argc, argv, 2, ret, &args, err))
        return -1;
    if (args[0] && !ret_args)
        return fail(err, &E_INVALID, "'%s' is not expected here.", args[0]);
    if (ret_args)
        *ret_args = args;
    if (!log_parse_level(ret->log_level, &level))
        return fail(err, &E_INVALID, "'%s' is not a log level.", ret->log_level);
    log_set_level(level);
    return 0;
}

static int run_init(struct arena *a, int argc, char **argv)
{
    struct control_settings settings;
    struct control control = { .settings = NULL };
    struct error err;
    int rc = 0;

    if (load_settings(a, argc, argv, &settings, NULL, &err))
        return complain(&err);
    if (control_open(&settings, true, &control, &err) || control_init(&control, &err))
        rc = complain(&err);
    else
        (void)printf("The databases are ready; the first service principal is in %s\n",
                     settings.secrets_file);
    control_close(&control);
    return rc;
}

static int run_directory(struct arena *a, int argc, char **argv)
{
    struct control_settings settings;
    struct control control = { .settings = NULL };
    struct error err;
    char **words = NULL;
    int rc;

    if (load_settings(a, argc, argv, &settings, &words, &err))
        return complain(&err);
    rc = control_open(&settings, false, &control, &err);
    if (rc == 0)
        rc = control_connect(&control, &err);
    if (rc == 0)
        rc = console_run(&control, a, (const char *const *)words, stdout, &err);
    if (rc != 0)
        rc = complain(&err);
    control_close(&control);
    return rc;
}

/* serve ---------------------------------------------------------------------------------------- */

static bool is_stopped(int stop_fd, int64_t wait_ms)
{
    struct pollfd p = { .fd = stop_fd, .events = POLLIN };

    return poll(&p, 1, (int)wait_ms) > 0;
}

/* Keeps trying while the database is away. 1 connected, 0 told to stop, -1 hopeless. */
static int connect_patiently(struct control *control, int stop_fd, struct error *err)
{
    int64_t remind_at = 0;

    while (control_connect(control, err)) {
        if (err->code != &E_UNAVAILABLE && err->code != &E_TIMEOUT)
            return -1;
        if (clock_mono_ms() >= remind_at) {
            log_failure(LOG_WARN, "waiting-for-database", err);
            remind_at = clock_mono_ms() + REMIND_MS;
        }
        if (is_stopped(stop_fd, RETRY_MS))
            return 0;
    }
    return 1;
}

/* An empty listen setting means none. */
static const char *listener(const char *setting)
{
    return setting && setting[0] ? setting : NULL;
}

static int load_edge_secret(struct arena *a, const struct control_settings *s, char **ret,
                            struct error *err)
{
    *ret = NULL;
    if (!listener(s->edge_listen) && !listener(s->login_edge_listen) &&
        !listener(s->graph_edge_listen) && !listener(s->vault_edge_listen) &&
        !listener(s->blob_edge_listen))
        return 0;
    if (file_read(a, s->edge_secret_file, SECRET_FILE_MAX, ret, NULL, err))
        return wrap(err, "edge secret");
    (*ret)[strcspn(*ret, "\r\n")] = '\0';
    return 0;
}

static int start_servers(struct control *control, struct arena *a, struct servers *servers,
                         struct error *err)
{
    const struct control_settings *s = control->settings;
    struct http_server_config config = {
        .event_threads = EVENT_THREADS,
        .workers_max = (unsigned)s->workers,
        .is_brief = true, /* most requests are a few short statements */
        .listen = listener(s->listen),
        .edge_listen = listener(s->edge_listen),
    };
    char *secret;

    if (load_edge_secret(a, s, &secret, err))
        return -1;
    config.edge_secret = secret;
    if (http_server_start(&config, &servers->arm, &servers->management, err))
        return wrap(err, "management server");
    config.listen = listener(s->login_listen);
    config.edge_listen = listener(s->login_edge_listen);
    if (http_server_start(&config, &servers->login, &servers->identity, err))
        return wrap(err, "login server");
    config.listen = listener(s->graph_listen);
    config.edge_listen = listener(s->graph_edge_listen);
    if (http_server_start(&config, &servers->graph, &servers->directory, err))
        return wrap(err, "graph server");
    config.listen = listener(s->vault_listen);
    config.edge_listen = listener(s->vault_edge_listen);
    if (http_server_start(&config, &servers->vault, &servers->vaults, err))
        return wrap(err, "vault server");
    config.listen = listener(s->blob_listen);
    config.edge_listen = listener(s->blob_edge_listen);
    if (http_server_start(&config, &servers->blob, &servers->blobs, err))
        return wrap(err, "storage server");
    config.listen = listener(s->workload_listen);
    config.edge_listen = NULL;
    if (config.listen && http_server_start(&config, &servers->workload, &servers->workloads, err))
        return wrap(err, "workload server");
    return 0;
}

static void stop_servers(struct servers *servers)
{
    if (servers->management)
        http_server_stop(servers->management, HTTP_GRACE_MS);
    if (servers->identity)
        http_server_stop(servers->identity, HTTP_GRACE_MS);
    if (servers->directory)
        http_server_stop(servers->directory, HTTP_GRACE_MS);
    if (servers->vaults)
        http_server_stop(servers->vaults, HTTP_GRACE_MS);
    if (servers->blobs)
        http_server_stop(servers->blobs, HTTP_GRACE_MS);
    if (servers->workloads)
        http_server_stop(servers->workloads, HTTP_GRACE_MS);
}

/* 0 after a clean stop, -1 when it could not start. */
static int serve(struct control *control, struct arena *a, int stop_fd, struct error *err)
{
    struct servers servers = { .management = NULL };
    struct reconcile *loop = NULL;
    struct deployer *deployer = NULL;
    struct ingresses *ingresses = NULL;
    int rc = 0;

    arm_app(control, &servers.arm);
    identity_app(control, &servers.login);
    graph_app(control, &servers.graph);
    keyvault_app(control, &servers.vault);
    storage_app(control, &servers.blob);
    workload_app(control, &servers.workload);
    if (start_servers(control, a, &servers, err) || reconcile_start(control, &loop, err) ||
        deployer_start(control, &servers.arm, &deployer, err) ||
        ingresses_start(control, &ingresses, err)) {
        rc = -1;
    } else {
        log_note(LOG_INFO, "serving", "%s", control->management_url);
        proc_notify_ready((int)control->settings->ready_fd);
        while (!is_stopped(stop_fd, -1))
            continue;
        log_note(LOG_INFO, "stopping", "finishing what is under way");
    }
    stop_servers(&servers);
    if (!ingresses_stop(ingresses, RECONCILE_GRACE_MS)) {
        log_note(LOG_WARN, "stopped", "attached networks are left as they are");
        _exit(0); /* the thread still uses what would be freed */
    }
    if (deployer && !deployer_stop(deployer, RECONCILE_GRACE_MS)) {
        log_note(LOG_WARN, "stopped", "deployments under way are left to their leases");
        _exit(0); /* threads still use what would be freed */
    }
    if (loop && !reconcile_stop(loop, RECONCILE_GRACE_MS)) {
        log_note(LOG_WARN, "stopped", "passes under way are left to their leases");
        _exit(0); /* threads still use what would be freed */
    }
    arm_app_done(&servers.arm);
    return rc;
}

static int run_serve(struct arena *a, int argc, char **argv)
{
    struct control_settings settings;
    struct control control = { .settings = NULL };
    struct error err;
    int stop_fd, rc;

    if (load_settings(a, argc, argv, &settings, NULL, &err) || proc_stop_fd(&stop_fd, &err))
        return complain(&err);
    rc = control_open(&settings, false, &control, &err);
    if (rc == 0)
        rc = connect_patiently(&control, stop_fd, &err);
    if (rc > 0)
        rc = serve(&control, a, stop_fd, &err);
    if (rc < 0)
        log_failure(LOG_ERROR, "not-serving", &err);
    control_close(&control);
    return rc < 0 ? 1 : 0;
}

static int print_help(struct arena *a)
{
    return printf("%s%s\nThe directory, for whoever may read the service key:\n%s", usage,
                  control_settings_help(a), console_usage) < 0;
}

int main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *command = argc > 1 ? argv[1] : "";

    if (text_eq(command, "serve"))
        return run_serve(a, argc, argv);
    if (text_eq(command, "init"))
        return run_init(a, argc, argv);
    if (text_eq(command, "directory"))
        return run_directory(a, argc, argv);
    if (text_eq(command, "--dump") && argc == 3)
        return dump(argv[2], stdout) ? 2 : 0;
    if (text_eq(command, "--help") || text_eq(command, "-h"))
        return print_help(a);
    if (text_eq(command, "--version"))
        return printf("portolan-controlplane %s\n", PORTOLAN_VERSION) < 0;
    (void)fprintf(stderr, "%s  portolan-controlplane --help lists them\n", usage);
    return 2;
}
