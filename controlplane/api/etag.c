/* Entity tags: see the header. */
#include "controlplane/api/etag.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"

#include "controlplane/api/call.h"
#include "controlplane/api/encode.h"
#include "controlplane/api/errors.h"

char *etag_of(struct arena *a, const struct json_object *shown)
{
    char hex[2 * SHA512_LEN + 1];
    struct digest d;
    size_t len = 0;
    const char *text = json_print_len(a, shown, &len);

    digest_of(DIGEST_SHA256, text, len, &d);
    digest_hex(&d, hex);
    return arena_printf(a, "W/\"%.8s-%.4s-%.4s-%.4s-%.12s\"", hex, hex + 8, hex + 12, hex + 16,
                        hex + 20);
}

/* The tag of the row as it was loaded; encoding lays things into the body, so it gets a copy. */
static const char *tag_of(struct call *c)
{
    struct resource row = *c->was;
    struct json_object *shown;

    row.body = json_own(c->arena, json_copy(row.body));
    shown = json_own(c->arena,
                     resource_encode(c->arena, c->control, c->type, c->api_version, &row));
    return json_text(shown, "etag");
}

/* Tags compare without the mark of weakness and without quotes: clients drop either. */
static bool is_same_tag(const char *asked, const char *tag)
{
    size_t len;

    if (text_starts(asked, "W/"))
        asked += 2;
    tag += strlen("W/\"");
    if (asked[0] == '"')
        asked++;
    len = strcspn(asked, "\"");
    return len == strcspn(tag, "\"") && strncmp(asked, tag, len) == 0;
}

static bool is_match(struct call *c, const char *asked)
{
    if (!c->was)
        return false;
    return text_eq(asked, "*") || is_same_tag(asked, tag_of(c));
}

int etag_check(struct call *c, struct error *err)
{
    const char *wanted, *unwanted;

    if (!c->type->has_etag)
        return 0;
    wanted = http_header(c->req, "If-Match");
    unwanted = http_header(c->req, "If-None-Match");
    if (wanted && wanted[0] && !is_match(c, wanted))
        return fail(err, &E_PRECONDITION,
                    "The condition '%.100s' in the If-Match header was not satisfied.", wanted);
    if (unwanted && unwanted[0] && is_match(c, unwanted))
        return fail(err, &E_PRECONDITION,
                    "The condition '%.100s' in the If-None-Match header was not satisfied.",
                    unwanted);
    return 0;
}
