/* Links are proven by an HMAC under a key that is derived from the registry's signing key, so every
 * process of the registry takes the links of every other, and a new signing key ends them all. What
 * is signed is one text, each part with its length before it: no two links share one. */
#include "dataplane/auth/link.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/http/server.h"
#include "dataplane/call.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/snapshot.h"

#define WHO_MAX       2048 /* characters of an encoded identity */
#define SIGNATURE_LEN 43   /* of 32 bytes in base64url */

static char *sign(struct http_request *req, const char *repository, const char *digest,
                  int64_t until_s, const char *who)
{
    const struct call *call = call_of(req);
    const struct data_settings *settings = call->plane->settings;
    uint8_t mac[SHA256_LEN];
    char *text = arena_printf(req->arena, "%zu:%s%zu:%s%zu:%s%zu:%s%zu:%s%" PRId64,
                              strlen(settings->registry_id), settings->registry_id,
                              strlen(settings->region), settings->region, strlen(repository),
                              repository, strlen(digest), digest, strlen(who), who, until_s);

    hmac_sha256(call->snapshot->link_key, sizeof(call->snapshot->link_key), text, strlen(text),
                mac);
    return text_base64url(req->arena, mac, sizeof(mac));
}

/* "<kind>:<mark>:<name>"; the name may hold anything. */
static char *write_who(struct http_request *req, const struct identity *id)
{
    char *text =
        arena_printf(req->arena, "%d:%s:%s", (int)id->kind, id->mark ? id->mark : "", id->name);

    return text_base64url(req->arena, text, strlen(text));
}

static bool read_who(struct http_request *req, const char *who, struct identity *ret)
{
    size_t len = 0;
    char *text = (char *)text_unbase64(req->arena, who, strlen(who), &len);
    char *mark = text && strlen(text) == len ? strchr(text, ':') : NULL;
    char *name = mark ? strchr(mark + 1, ':') : NULL;

    if (!name || mark != text + 1 || text[0] < '0' || text[0] - '0' >= IDENTITY_KIND_MAX)
        return false;
    *name++ = '\0';
    *ret = (struct identity){ .kind = (enum identity_kind)(text[0] - '0'),
                              .name = name,
                              .mark = mark + 1 };
    return true;
}

const char *link_make(struct http_request *req, const char *repository, const char *digest)
{
    const struct call *call = call_of(req);
    const char *port = strrchr(call->snapshot->login_server, ':');
    int64_t until_s = clock_wall_s() + LINK_S;
    const char *who = write_who(req, &call->identity);

    return arena_printf(req->arena, "%s://%s%s/data/%s/blobs/%s?until=%" PRId64 "&who=%s&sig=%s",
                        call->plane->settings->realm_scheme, call->snapshot->data_host,
                        port ? port : "", repository, digest, until_s, who,
                        sign(req, repository, digest, until_s, who));
}

bool link_read(struct http_request *req, struct identity *ret)
{
    const char *until = http_query(req, "until"), *who = http_query(req, "who");
    const char *signature = http_query(req, "sig");
    int64_t now_s = clock_wall_s(), until_s = 0;

    if (!until || !who || !signature || strlen(who) > WHO_MAX ||
        strlen(signature) != SIGNATURE_LEN || !text_parse_i64(until, &until_s))
        return false;
    const char *expected = sign(req, req->params[0], req->params[1], until_s, who);
    if (!secret_equal_text(expected, signature))
        return false;
    return until_s > now_s && until_s <= now_s + LINK_S + 60 && read_who(req, who, ret);
}

bool link_is_data_host(const struct http_request *req)
{
    const char *host = call_of(req)->snapshot->data_host;
    size_t len = strcspn(req->host, ":");

    return host && strlen(host) == len && strncmp(host, req->host, len) == 0;
}

void link_refuse(struct http_request *req, const char *rule, const char *message)
{
    call_of(req)->rule = rule;
    reply_error_detail(req, &E_DENIED, message, NULL);
}
