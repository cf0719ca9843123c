/* Small images pushed by many clients at once, as containerd pushes: per blob HEAD, POST and PUT of
 * the bytes, then PUT of the manifest under a tag of its own. Three blobs of 8 KiB together, no two
 * images alike. Prints one line of JSON; any unexpected status ends it.
 *
 *   bench_images URL REPOSITORY CLIENTS SECONDS HEADER [CA-FILE] */
/* links: portolan_base portolan_crypto portolan_client */
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/client.h"
#include "common/crypto/digest.h"

#define BLOBS       3
#define CLIENTS_MAX 256
#define MEDIA       "application/vnd.oci.image."

static const size_t blob_bytes[BLOBS] = { 1024, 3584, 3584 };

struct push {
    const char *url, *repository, *header;
    struct client *client;
    int64_t until_us;
    atomic_ulong images;
    atomic_long slowest_us;
};

static _Noreturn void die(const char *what, int status, const char *text)
{
    (void)fprintf(stderr, "bench_images: %s: %d %s\n", what, status, text);
    exit(1);
}

/* One request that must give the status; the reply lives in the arena. */
static void must(const struct push *p, struct arena *a, struct client_request request, int status,
                 const char *media_type, struct client_response *ret)
{
    const char *headers[3] = { 0 };
    struct error err;
    size_t n = 0;

    if (*p->header)
        headers[n++] = p->header;
    if (media_type)
        headers[n++] = arena_printf(a, "Content-Type: %s", media_type);
    request.headers = headers;
    request.timeout_ms = 60000;
    if (client_send(p->client, a, &request, ret, &err))
        die(request.url, 0, err.message);
    if (ret->status != status)
        die(request.url, ret->status, ret->body ? ret->body : "");
}

static char *push_blob(const struct push *p, struct arena *a, size_t len)
{
    struct client_response reply;
    struct digest digest;
    char text[DIGEST_TEXT_MAX];
    char *bytes = arena_alloc(a, len);
    const char *base = arena_printf(a, "%s/v2/%s/blobs", p->url, p->repository);

    random_bytes(bytes, len);
    digest_of(DIGEST_SHA256, bytes, len, &digest);
    digest_text(&digest, text);
    must(p, a,
         (struct client_request){ .method = "HEAD", .url = arena_printf(a, "%s/%s", base, text) },
         404, NULL, &reply);
    must(p, a,
         (struct client_request){ .method = "POST", .url = arena_printf(a, "%s/uploads/", base) },
         202, NULL, &reply);
    const char *location = client_header(&reply, "location");
    if (!location)
        die("POST", reply.status, "no Location");
    must(p, a,
         (struct client_request){ .method = "PUT",
                                  .url = arena_printf(a, "%s%s%cdigest=%s",
                                                      *location == '/' ? p->url : "", location,
                                                      strchr(location, '?') ? '&' : '?', text),
                                  .body = bytes,
                                  .body_len = len },
         201, "application/octet-stream", &reply);
    return arena_strdup(a, text);
}

static void push_image(const struct push *p, struct arena *a)
{
    const char *digests[BLOBS];
    struct client_response reply;
    char *tag = random_text(a, 16);

    for (size_t i = 0; i < BLOBS; i++)
        digests[i] = push_blob(p, a, blob_bytes[i]);
    const char *manifest = arena_printf(
        a,
        "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA
        "manifest.v1+json\",\"config\":{\"mediaType\":"
        "\"" MEDIA
        "config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":\"" MEDIA
        "layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu},{\"mediaType\":\"" MEDIA
        "layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu}]}",
        digests[0], blob_bytes[0], digests[1], blob_bytes[1], digests[2], blob_bytes[2]);
    must(p, a,
         (struct client_request){
             .method = "PUT",
             .url = arena_printf(a, "%s/v2/%s/manifests/%s", p->url, p->repository, tag),
             .body = manifest,
             .body_len = strlen(manifest) },
         201, MEDIA "manifest.v1+json", &reply);
}

static void *push_many(void *arg)
{
    struct push *p = arg;
    _cleanup_(arena_freep) struct arena *a = arena_new();

    for (int64_t now_us = clock_mono_us(); now_us < p->until_us;) {
        push_image(p, a);
        arena_reset(a);
        int64_t then_us = now_us;
        now_us = clock_mono_us();
        atomic_fetch_add(&p->images, 1);
        long took = now_us - then_us, slowest = atomic_load(&p->slowest_us);
        while (took > slowest && !atomic_compare_exchange_weak(&p->slowest_us, &slowest, took))
            continue;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct client_config config = { .reach = CLIENT_OWN, .ca_file = argc > 6 ? argv[6] : NULL };
    struct push p = { 0 };
    pthread_t threads[CLIENTS_MAX];
    struct error err;

    if (argc < 6) {
        (void)fputs("usage: bench_images URL REPOSITORY CLIENTS SECONDS HEADER [CA-FILE]\n", stderr);
        return 2;
    }
    long clients = strtol(argv[3], NULL, 10), seconds = strtol(argv[4], NULL, 10);
    if (clients < 1 || clients > CLIENTS_MAX || seconds < 1)
        return 2;
    p.url = argv[1];
    p.repository = argv[2];
    p.header = argv[5];
    if (client_new(&config, &p.client, &err))
        die("client", 0, err.cause);
    int64_t begun_us = clock_mono_us();
    p.until_us = begun_us + seconds * INT64_C(1000000);
    for (long i = 0; i < clients; i++) {
        if (pthread_create(&threads[i], NULL, push_many, &p) != 0)
            die("thread", 0, "");
    }
    for (long i = 0; i < clients; i++)
        (void)pthread_join(threads[i], NULL);
    double took = (double)(clock_mono_us() - begun_us) / 1e6;
    printf("{\"images\":%lu,\"seconds\":%.6f,\"slowest_us\":%ld}\n", atomic_load(&p.images), took,
           atomic_load(&p.slowest_us));
    client_free(p.client);
    return 0;
}
