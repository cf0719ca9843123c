/* Decoding of the OCI and Docker manifest types through field tables (OCI image-spec manifest.md,
 * image-index.md, descriptor.md). Loose where registries that were strict broke clients: unknown
 * members, absent lists and sparse descriptors pass; ambiguity (CVE-2021-41190) does not. */
#include "dataplane/oci/manifest.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "dataplane/oci/errors.h"

#define DESCRIPTORS_MAX 50000
#define MEDIA_TYPE_MAX  255
#define SIZE_LIMIT      INT64_C(0x7fffffffffff)

enum shape { SHAPE_IMAGE, SHAPE_INDEX, SHAPE_ARTIFACT };

static const struct media_type {
    const char *name;
    enum shape shape;
} media_types[] = {
    { "application/vnd.oci.image.manifest.v1+json", SHAPE_IMAGE },
    { "application/vnd.oci.image.index.v1+json", SHAPE_INDEX },
    { "application/vnd.docker.distribution.manifest.v2+json", SHAPE_IMAGE },
    { "application/vnd.docker.distribution.manifest.list.v2+json", SHAPE_INDEX },
    { "application/vnd.oci.artifact.manifest.v1+json", SHAPE_ARTIFACT },
};

struct descriptor {
    char *media_type, *digest;
    int64_t size;
};

struct document {
    int64_t schema_version;
    char *media_type, *artifact_type;
    struct descriptor config, subject;
    struct field_list layers, manifests, blobs;
    struct json_object *annotations;
};

#define DESCRIPTOR_ROWS(prefix, at)                                                                \
    { .path = prefix "mediaType",                                                                  \
      .kind = FIELD_TEXT,                                                                          \
      .flags = FIELD_RW,                                                                           \
      .max = MEDIA_TYPE_MAX,                                                                       \
      .offset = (at) + offsetof(struct descriptor, media_type) },                                  \
        { .path = prefix "digest",                                                                 \
          .kind = FIELD_TEXT,                                                                      \
          .flags = FIELD_RW,                                                                       \
          .max = DIGEST_TEXT_MAX,                                                                  \
          .offset = (at) + offsetof(struct descriptor, digest) },                                  \
    {                                                                                              \
        .path = prefix "size", .kind = FIELD_INT, .flags = FIELD_RW, .max = SIZE_LIMIT,            \
        .offset = (at) + offsetof(struct descriptor, size)                                         \
    }

static const struct field descriptor_fields[] = {
    DESCRIPTOR_ROWS("", 0),
    { 0 },
};

#define LIST_ROW(name, member)                                                                     \
    {                                                                                              \
        .path = name, .kind = FIELD_LIST, .flags = FIELD_RW, .max = DESCRIPTORS_MAX,               \
        .of = descriptor_fields, .of_size = sizeof(struct descriptor),                             \
        .offset = offsetof(struct document, member)                                                \
    }

const struct field manifest_fields[] = {
    { .path = "schemaVersion",
      .kind = FIELD_INT,
      .flags = FIELD_RW,
      .offset = offsetof(struct document, schema_version) },
    { .path = "mediaType",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .max = MEDIA_TYPE_MAX,
      .offset = offsetof(struct document, media_type) },
    { .path = "artifactType",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .max = MEDIA_TYPE_MAX,
      .offset = offsetof(struct document, artifact_type) },
    DESCRIPTOR_ROWS("config.", offsetof(struct document, config)),
    DESCRIPTOR_ROWS("subject.", offsetof(struct document, subject)),
    LIST_ROW("layers", layers),
    LIST_ROW("manifests", manifests),
    LIST_ROW("blobs", blobs),
    { .path = "annotations",
      .kind = FIELD_JSON,
      .flags = FIELD_RW,
      .offset = offsetof(struct document, annotations) },
    { 0 },
};

const struct field image_config_fields[] = {
    { .path = "architecture",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .max = 64,
      .offset = offsetof(struct image_platform, architecture) },
    { .path = "os",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .max = 64,
      .offset = offsetof(struct image_platform, os) },
    { 0 },
};

size_t manifest_fields_size(void)
{
    return sizeof(struct document);
}

/* The type before any parameter, lower case. */
static const char *bare_type(struct arena *a, const char *content_type)
{
    size_t len = content_type ? strcspn(content_type, "; \t") : 0;

    return len ? text_lower(a, arena_strndup(a, content_type, len)) : NULL;
}

static const struct media_type *find_type(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(media_types); i++) {
        if (text_eq(media_types[i].name, name))
            return &media_types[i];
    }
    return NULL;
}

/* What the manifest is: by its own mediaType and the request's Content-Type, which must agree. */
static int choose_type(struct arena *a, const char *content_type, const struct document *doc,
                       const struct media_type **ret, struct error *err)
{
    const char *named = bare_type(a, content_type);
    const char *name = doc->media_type ? doc->media_type : named;

    if (doc->media_type && named && !text_eq(doc->media_type, named) &&
        !text_eq(named, "application/json") && !text_eq(named, "application/octet-stream"))
        return fail(err, &E_MANIFEST_INVALID,
                    "the manifest's mediaType differs from its Content-Type");
    if (!name)
        name = doc->manifests.items ? media_types[1].name : media_types[0].name;
    *ret = find_type(name);
    if (!*ret)
        return fail(err, &E_MANIFEST_INVALID, "the media type of the manifest is not supported");
    return 0;
}

static int check_shape(const struct document *doc, const struct media_type *type, struct error *err)
{
    bool has_config = doc->config.digest != NULL;

    if (type->shape != SHAPE_ARTIFACT && doc->schema_version != 2)
        return fail(err, &E_MANIFEST_INVALID, "the manifest's schemaVersion is not 2");
    if (type->shape != SHAPE_INDEX && doc->manifests.items)
        return fail(err, &E_MANIFEST_INVALID, "an image manifest has a member 'manifests'");
    if (type->shape == SHAPE_INDEX && (doc->layers.items || has_config))
        return fail(err, &E_MANIFEST_INVALID, "an index has a member 'layers' or 'config'");
    if (type->shape == SHAPE_IMAGE && !has_config)
        return fail(err, &E_MANIFEST_INVALID, "the manifest has no config");
    return 0;
}

static int read_digest(const struct descriptor *d, struct digest *ret, struct error *err)
{
    if (digest_parse(d->digest, ret))
        return 0;
    return fail(err, &E_MANIFEST_INVALID, "the manifest has a descriptor with an invalid digest");
}

/* Layers that licences keep out of registries are fetched from elsewhere. */
static bool is_foreign(const struct descriptor *d)
{
    return d->media_type && (strstr(d->media_type, ".nondistributable.") ||
                             strstr(d->media_type, ".rootfs.foreign."));
}

static void add_size(struct manifest *m, int64_t size)
{
    m->image_size = size > SIZE_LIMIT - m->image_size ? SIZE_LIMIT : m->image_size + size;
}

static int take_list(const struct field_list *list, struct manifest *m, struct digest_list *to,
                     struct error *err)
{
    const struct descriptor *items = list->items;

    for (size_t i = 0; i < list->count; i++) {
        struct digest_list *target = is_foreign(&items[i]) ? &m->optional : to;
        if (read_digest(&items[i], &target->items[target->count], err) != 0)
            return -1;
        target->sizes[target->count++] = items[i].size;
        add_size(m, items[i].size);
    }
    return 0;
}

static void list_init(struct arena *a, size_t count, struct digest_list *ret)
{
    ret->items = arena_array(a, count, sizeof(*ret->items));
    ret->sizes = arena_array(a, count, sizeof(*ret->sizes));
}

static int take_references(struct arena *a, const struct document *doc, struct manifest *m,
                           struct error *err)
{
    size_t count = doc->layers.count + doc->blobs.count + doc->manifests.count + 1;

    list_init(a, count, &m->blobs);
    list_init(a, count, &m->optional);
    list_init(a, count, &m->children);
    if (doc->config.digest) {
        if (read_digest(&doc->config, &m->config, err) != 0)
            return -1;
        m->has_config = true;
        m->config_size = doc->config.size;
        m->blobs.items[m->blobs.count] = m->config;
        m->blobs.sizes[m->blobs.count++] = doc->config.size;
        add_size(m, doc->config.size);
    }
    if (take_list(&doc->layers, m, &m->blobs, err) != 0 ||
        take_list(&doc->blobs, m, &m->blobs, err) != 0 ||
        take_list(&doc->manifests, m, &m->children, err) != 0)
        return -1;
    if (doc->subject.digest) {
        if (read_digest(&doc->subject, &m->subject, err) != 0)
            return -1;
        m->has_subject = true;
    }
    return 0;
}

static void require_text(void *ctx, const char *key, struct json_object *value)
{
    bool *is_ok = ctx;

    (void)key;
    *is_ok &= json_kind(value) == JSON_TEXT;
}

static int take_annotations(struct arena *a, const struct document *doc, struct manifest *m,
                            struct error *err)
{
    bool is_ok = true;

    if (!doc->annotations || json_kind(doc->annotations) == JSON_NULL)
        return 0;
    if (json_kind(doc->annotations) == JSON_OBJECT)
        json_each(doc->annotations, require_text, &is_ok);
    if (json_kind(doc->annotations) != JSON_OBJECT || !is_ok)
        return fail(err, &E_MANIFEST_INVALID, "the manifest's annotations are not texts");
    if (json_count(doc->annotations) > 0)
        m->annotations = json_print(a, doc->annotations);
    return 0;
}

int manifest_decode(struct arena *a, const char *content_type, const char *bytes, size_t len,
                    struct manifest *ret, struct error *err)
{
    const struct media_type *type = NULL;
    struct json_object *object = NULL;
    struct document doc = { 0 };
    struct error why = { 0 };

    *ret = (struct manifest){ 0 };
    if (json_parse_object(bytes, len, MANIFEST_MAX_BYTES, &object, &why) != 0)
        return fail(err, &E_MANIFEST_INVALID, "manifest invalid: %.900s", why.message);
    (void)json_own(a, object);
    if (fields_check(a, manifest_fields, object, true, &E_MANIFEST_INVALID, &why) != 0)
        return fail(err, &E_MANIFEST_INVALID, "manifest invalid: %.900s", why.message);
    if (fields_decode(a, manifest_fields, object, &doc, err) != 0)
        return -1;
    if (choose_type(a, content_type, &doc, &type, err) != 0 || check_shape(&doc, type, err) != 0 ||
        take_references(a, &doc, ret, err) != 0 || take_annotations(a, &doc, ret, err) != 0)
        return -1;
    ret->media_type = type->name;
    ret->config_media_type = ret->has_config ? doc.config.media_type : NULL;
    ret->artifact_type = doc.artifact_type;
    if ((!ret->artifact_type || !*ret->artifact_type) && type->shape != SHAPE_INDEX)
        ret->artifact_type = ret->config_media_type;
    return 0;
}

void image_config_decode(struct arena *a, const char *bytes, size_t len, struct image_platform *ret)
{
    struct json_object *object = NULL;
    struct error ignored = { 0 };

    if (json_parse_object(bytes, len, MANIFEST_MAX_BYTES, &object, &ignored) != 0)
        return;
    (void)json_own(a, object);
    if (fields_check(a, image_config_fields, object, true, &E_MANIFEST_INVALID, &ignored) == 0)
        (void)!fields_decode(a, image_config_fields, object, ret, &ignored);
}
