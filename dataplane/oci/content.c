/* A look-up that misses takes its stamp before it asks, so that a write in between wins. */
#include "dataplane/oci/content.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "dataplane/call.h"
#include "dataplane/oci/errors.h"
#include "dataplane/oci/reference.h"
#include "dataplane/plane.h"
#include "dataplane/store/content.h"
#include "dataplane/store/snapshot.h"

int content_blob(const struct call *call, struct arena *a, const char *repository,
                 const struct digest *digest, struct blob_ref *ret, struct error *err)
{
    struct data_plane *plane = call->plane;
    char text[DIGEST_TEXT_MAX];
    struct blob_found found;

    digest_text(digest, text);
    if (content_cache_blob(plane->cache, repository, text, ret))
        return 1;
    uint64_t stamp = content_cache_stamp(plane->cache, repository);
    int status = blob_find(&plane->store, a, repository, digest, &found, err);
    if (status != 1)
        return status;
    if (!found.can_read)
        return fail_disallowed(err);
    *ret = found.ref;
    content_cache_put_blob(plane->cache, stamp, repository, text, ret);
    return 1;
}

int content_manifest(const struct call *call, struct arena *a, const char *repository,
                     const char *reference, struct cached_manifest **ret, struct error *err)
{
    struct data_plane *plane = call->plane;
    struct manifest_found found;
    struct digest digest;
    int status = 0;

    *ret = content_cache_manifest(plane->cache, repository, reference);
    if (*ret)
        return 1;
    uint64_t stamp = content_cache_stamp(plane->cache, repository);
    bool is_digest = reference_parse(reference, &digest) == REFERENCE_DIGEST;
    if (is_digest)
        status = manifest_find(&plane->store, a, repository, &digest, &found, err);
    else
        status = manifest_find_tag(&plane->store, a, repository, reference, &found, err);
    if (status != 1)
        return status;
    if (!found.can_read)
        return fail_disallowed(err);
    if (found.is_quarantined && call->snapshot->policies.is_quarantine_on &&
        !call_may(call, repository, ACT_QUARANTINE_READ))
        return is_digest ? fail_disallowed(err) : 0;
    *ret = cached_manifest_new(&found);
    /* What is remembered is for every reader. */
    if (!found.is_quarantined)
        content_cache_put_manifest(plane->cache, stamp, repository, reference, *ret);
    return 1;
}
