/* portolan-dataplane: serves one registry in one region. Everything about the registry comes from
 * what was published to the regional database, so it starts and serves with the control plane down.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sys/resource.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/base/text.h"
#include "common/http/server.h"
#include "common/proc/proc.h"
#include "dataplane/plane.h"

#define STOP_GRACE_MS  5000
#define SECRET_MAX     4096
#define MMAP_THRESHOLD (256 * 1024)

#define TEXT(n, member, default, text)                                                             \
    {                                                                                              \
        .name = n, .kind = SETTING_TEXT, .offset = offsetof(struct data_settings, member),         \
        .def = default, .help = text                                                               \
    }
#define REQUIRED(n, member, text)                                                                  \
    {                                                                                              \
        .name = n, .kind = SETTING_TEXT, .offset = offsetof(struct data_settings, member),         \
        .is_required = true, .help = text                                                          \
    }
#define NUMBER(n, member, default, low, high, text)                                                \
    {                                                                                              \
        .name = n, .kind = SETTING_INT, .offset = offsetof(struct data_settings, member),          \
        .def = default, .min = low, .max = high, .help = text                                      \
    }

static const struct setting settings_table[] = {
    REQUIRED("registry-id", registry_id, "The registry to serve, a UUID."),
    REQUIRED("region", region, "The region this process serves it in."),
    REQUIRED("metadata-db", metadata_db, "libpq URL of the regional database."),
    REQUIRED("blobs", blobs, "Directory of this registry's content, made if absent."),
    REQUIRED("service-key-file", service_key_file, "File of the key that unwraps secrets."),
    TEXT("listen", listen, NULL, "Address of a plain HTTP listener, such as 127.0.0.1:5000."),
    TEXT("edge-listen", edge_listen, NULL, "Address of the listener behind the edge (PROXY v2)."),
    TEXT("edge-secret-file", edge_secret_file, NULL, "File of the secret shared with the edge."),
    TEXT("realm-scheme", realm_scheme, "https", "Scheme of the token endpoint in challenges."),
    TEXT("ca-file", ca_file, NULL,
         "Certificate authority of the installation, for imports from its other registries."),
    TEXT("import-allow", import_allow, NULL,
         "Address ranges that imports may read from beside public ones; spaces between."),
    TEXT("import-ca-file", import_ca_file, NULL,
         "Certificate authorities of other sources of imports, instead of the system's."),
    TEXT("log-level", log_level, "info", "debug, info, warn or error."),
    NUMBER("event-threads", event_threads, "2", 1, 64, "Threads that move bytes."),
    NUMBER("workers", workers, "16", 1, 256, "Most threads for work that may block."),
    NUMBER("ready-fd", ready_fd, "-1", -1, 1024, "Descriptor to write a newline to when ready."),
    NUMBER("cache-bytes", cache_bytes, "33554432", 0, INT64_C(1) << 40,
           "Most memory for cached manifests and memberships."),
    NUMBER("hot-bytes", hot_bytes, "100663296", 0, INT64_C(1) << 40,
           "Most memory for decrypted content that is pulled again within seconds."),
    NUMBER("grace", grace_s, "3600", 0, 31536000,
           "Seconds that reads go on from memory while the regional database is away."),
    NUMBER("collect-delay", collect_delay_s, "86400", 0, 31536000,
           "Seconds before unused content is removed."),
    NUMBER("walk-delay", walk_delay_s, "20", 0, 86400,
           "Seconds after start, at least, before stored files are compared with the database."),
    NUMBER("walk-interval", walk_interval_s, "86400", 1, 31536000,
           "Seconds between such comparisons."),
    NUMBER("scrub-interval", scrub_interval_s, "604800", 0, 31536000,
           "Seconds between verifications of all stored content; 0: never."),
    NUMBER("scrub-rate", scrub_rate, "8388608", 65536, INT64_C(1) << 40,
           "Bytes a second read for that."),
    NUMBER("aside-keep", aside_keep_s, "2592000", 0, 31536000,
           "Seconds that content found damaged is kept for inspection."),
    NUMBER("tombstone-keep", tombstone_keep_s, "2592000", 0, 31536000,
           "Seconds that deletions are remembered."),
    { .name = "encryption",
      .kind = SETTING_BOOL,
      .offset = offsetof(struct data_settings, encryption),
      .def = "true",
      .help = "Encrypt new content at rest." },
    { 0 },
};

/* Many of these share a machine: one arena for all threads, large buffers given back at once. */
static void limit_memory(void)
{
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    (void)mallopt(M_TRIM_THRESHOLD, MMAP_THRESHOLD);
}

/* Connections, open blobs and uploads each hold a descriptor. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_note(LOG_WARN, "descriptors", "the limit on open files stays as it was");
}

static int check_settings(const struct data_settings *settings, struct error *err)
{
    enum log_level level;

    if (!uuid_is_valid(settings->registry_id))
        return fail(err, &E_INVALID, "registry-id is not a UUID");
    if (!settings->listen && !settings->edge_listen)
        return fail(err, &E_INVALID, "one of listen and edge-listen is needed");
    if (settings->edge_listen && !settings->edge_secret_file)
        return fail(err, &E_INVALID, "edge-listen needs edge-secret-file");
    if (!text_eq(settings->realm_scheme, "https") && !text_eq(settings->realm_scheme, "http"))
        return fail(err, &E_INVALID, "realm-scheme is neither https nor http");
    if (!log_parse_level(settings->log_level, &level))
        return fail(err, &E_INVALID, "log-level is not one of debug, info, warn, error");
    log_set_level(level);
    return 0;
}

static int start_server(struct arena *a, const struct data_settings *settings,
                        struct data_plane *plane, struct http_server **ret, struct error *err)
{
    struct http_server_config config = { .listen = settings->listen,
                                         .edge_listen = settings->edge_listen,
                                         .event_threads = (unsigned)settings->event_threads,
                                         .workers_max = (unsigned)settings->workers };
    struct http_app app;
    char *secret = NULL;

    if (settings->edge_listen) {
        if (file_read(a, settings->edge_secret_file, SECRET_MAX, &secret, NULL, err) != 0)
            return wrap(err, "edge secret");
        secret[strcspn(secret, "\r\n")] = '\0';
        config.edge_secret = secret;
    }
    plane_app(plane, &app);
    return http_server_start(&config, &app, ret, err);
}

/* Until told to stop. */
static int serve(struct arena *a, const struct data_settings *settings, int stop_fd,
                 struct error *err)
{
    struct data_plane plane;
    struct http_server *server = NULL;
    int status = plane_open(&plane, settings, stop_fd, err);

    if (status == 0)
        status = start_server(a, settings, &plane, &server, err);
    if (status == 0) {
        struct pollfd p = { .fd = stop_fd, .events = POLLIN };
        log_note(LOG_INFO, "ready", "registry %s listens on port %d, behind the edge on port %d",
                 settings->registry_id, http_server_port(server), http_server_edge_port(server));
        proc_notify_ready((int)settings->ready_fd);
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
            ;
        http_server_stop(server, STOP_GRACE_MS);
    }
    plane_close(&plane);
    return status < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct data_settings settings = { 0 };
    struct error err = { 0 };
    char **args = NULL;
    int stop_fd = -1;

    limit_memory();
    _cleanup_(arena_freep) struct arena *a = arena_new();
    if (argc > 1 && (text_eq(argv[1], "--help") || text_eq(argv[1], "-h"))) {
        (void)fputs(settings_help(a, settings_table), stdout);
        return 0;
    }
    if (settings_load(a, settings_table, argc, argv, 1, &settings, &args, &err) != 0 ||
        check_settings(&settings, &err) != 0) {
        log_failure(LOG_ERROR, "settings", &err);
        return 2;
    }
    raise_descriptors();
    if (proc_stop_fd(&stop_fd, &err) != 0 || serve(a, &settings, stop_fd, &err) != 0) {
        log_failure(LOG_ERROR, "stopped", &err);
        return 1;
    }
    return 0;
}
