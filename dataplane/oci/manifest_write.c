/* Pushes and imports store manifests alike. */
#include "dataplane/oci/manifest_write.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "dataplane/oci/manifest.h"
#include "dataplane/store/content.h"

#define CONFIG_MAX_BYTES ((uint64_t)1024 * 1024)

void manifest_write_fill(const struct manifest *m, const void *bytes, size_t len,
                         struct manifest_write *w)
{
    w->media_type = m->media_type;
    w->artifact_type = m->artifact_type;
    w->config_media_type = m->config_media_type;
    w->annotations = m->annotations;
    w->subject = m->has_subject ? &m->subject : NULL;
    w->payload = bytes;
    w->payload_len = len;
    w->image_size = m->image_size;
    w->blobs = m->blobs.items;
    w->blob_count = m->blobs.count;
    w->optional = m->optional.items;
    w->optional_count = m->optional.count;
    w->children = m->children.items;
    w->child_count = m->children.count;
}

static bool is_image_config(const char *media_type)
{
    return text_eq(media_type, "application/vnd.oci.image.config.v1+json") ||
           text_eq(media_type, "application/vnd.docker.container.image.v1+json");
}

/* What az shows of an image stands in its configuration. Only a convenience: a configuration that
 * is absent or odd changes nothing. */
void manifest_write_platform(struct arena *a, struct blob_store *store,
                             const struct blob_ref *config, const struct manifest *m,
                             struct manifest_write *w)
{
    struct image_platform platform = { 0 };
    struct blob_reader *reader = NULL;
    struct error ignored = { 0 };

    if (!is_image_config(m->config_media_type) || config->size == 0 ||
        config->size > CONFIG_MAX_BYTES ||
        store->driver->get(store, config, &reader, &ignored) != 1)
        return;
    char *text = arena_alloc(a, (size_t)config->size + 1);
    ssize_t n = store->driver->read(reader, 0, text, (size_t)config->size, &ignored);
    if (n == (ssize_t)config->size)
        image_config_decode(a, text, (size_t)n, &platform);
    store->driver->release(reader);
    w->architecture = platform.architecture;
    w->os = platform.os;
}
