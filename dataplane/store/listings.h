/* Pages of what a registry holds. Every page is a range of an index, from the last key of the page
 * before; nothing is counted, skipped or sorted. */
#ifndef PORTOLAN_STORE_LISTINGS_H
#define PORTOLAN_STORE_LISTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"

struct arena;
struct error;
struct store;

struct attributes {
    bool can_read, can_write, can_delete, can_list;
};

struct name_list {
    const char **names;
    size_t count;
    bool has_more;
};
/* Repositories that hold a manifest. */
MUST_CHECK int list_repositories(const struct store *s, struct arena *a, const char *last,
                                 int64_t count, struct name_list *ret, struct error *err);
/* 0 when there is no such repository. */
MUST_CHECK int list_tags(const struct store *s, struct arena *a, const char *repository,
                         const char *last, int64_t count, struct name_list *ret, struct error *err);

struct referrer {
    struct digest digest;
    const char *media_type, *artifact_type, *annotations;
    int64_t size;
};
struct referrer_list {
    struct referrer *items;
    size_t count;
    bool has_more;
};
/* last: NULL for the first page. A page also ends when its annotations grow large. */
MUST_CHECK int list_referrers(const struct store *s, struct arena *a, const char *repository,
                              const struct digest *subject, const char *artifact_type,
                              const struct digest *last, int64_t count, struct referrer_list *ret,
                              struct error *err);

enum list_order { ORDER_NAME, ORDER_OLDEST, ORDER_NEWEST };

struct tag_detail {
    const char *name;
    struct digest digest;
    int64_t created_us, updated_us;
    struct attributes attributes;
};
struct tag_list {
    struct tag_detail *items;
    size_t count;
    bool has_more;
};
/* name: only that tag, hidden or not; digest: only the tags on it, by name; both may be NULL. */
MUST_CHECK int list_tag_details(const struct store *s, struct arena *a, const char *repository,
                                const char *name, const struct digest *digest,
                                enum list_order order, const char *last, int64_t count,
                                struct tag_list *ret, struct error *err);

struct manifest_detail {
    struct digest digest;
    const char *media_type, *config_media_type, *architecture, *os;
    const char *quarantine_state, *quarantine_details;
    int64_t image_size, created_us, updated_us;
    const char **tags;
    size_t tag_count;
    const char *children; /* JSON list of {digest, architecture, os}; NULL when it has none */
    struct attributes attributes;
};
struct manifest_list {
    struct manifest_detail *items;
    size_t count;
    bool has_more;
};
MUST_CHECK int list_manifest_details(const struct store *s, struct arena *a, const char *repository,
                                     const struct digest *only, enum list_order order,
                                     const struct digest *last, int64_t count,
                                     struct manifest_list *ret, struct error *err);

struct repository_detail {
    int64_t created_us, updated_us, manifest_count, tag_count;
    struct attributes attributes;
};
/* 0 when it holds nothing. */
MUST_CHECK int repository_show(const struct store *s, struct arena *a, const char *repository,
                               struct repository_detail *ret, struct error *err);

/* Members that are NULL stay as they are. 0 when there is nothing of that name. */
struct attribute_change {
    const bool *can_read, *can_write, *can_delete, *can_list;
    const char *quarantine_state, *quarantine_details; /* of manifests */
};
MUST_CHECK int repository_change(const struct store *s, struct arena *a, const char *repository,
                                 const struct attribute_change *change, struct error *err);
MUST_CHECK int tag_change(const struct store *s, struct arena *a, const char *repository,
                          const char *tag, const struct attribute_change *change,
                          struct error *err);
MUST_CHECK int manifest_change(const struct store *s, struct arena *a, const char *repository,
                               const struct digest *digest, const struct attribute_change *change,
                               struct error *err);

#endif
