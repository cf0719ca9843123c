/* What is asked of other OpenID issuers: see the header. Nothing of it is kept: a sign-in is rare
 * beside what its tokens are used for, and a key that an issuer withdrew is not trusted once more.
 */
#include "controlplane/identity/issuer.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/crypto/foreign_token.h"
#include "common/json/json.h"

#include "controlplane/control.h"

#define DOCUMENT_MAX (256u << 10)
#define FETCH_MS     5000
#define KEYS_MAX     64

static void client_freep(struct client **c)
{
    client_free(*c);
}

static int new_client(struct control *control, struct arena *a, struct client **ret,
                      struct error *err)
{
    char **ranges = NULL;
    const char *allow = control->settings->federation_allow;
    size_t count = allow && allow[0] ? text_split(a, allow, ' ', &ranges) : 0;
    const char **cidrs = arena_array(a, count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        cidrs[i] = ranges[i];
    const struct client_config config = { .reach = CLIENT_PUBLIC,
                                          .allowed_cidrs = cidrs,
                                          .ca_file = control->settings->federation_ca_file };
    return client_new(&config, ret, err);
}

/* A JSON document of the issuer's. */
static int ask(struct control *control, struct arena *a, struct client_request *request,
               struct json_object **ret, struct error *err)
{
    _cleanup_(client_freep) struct client *client = NULL;
    struct client_response response;
    struct error reason;
    struct json_object *document = NULL;
    if (!request->url || !text_starts(request->url, "https://"))
        return fail(err, &E_UNAUTHENTICATED, "The issuer is not served by https.");
    if (new_client(control, a, &client, err) != 0)
        return -1;
    request->timeout_ms = FETCH_MS;
    request->max_body_bytes = DOCUMENT_MAX;
    if (client_send(client, a, request, &response, &reason) != 0)
        return fail(err, &E_UNAUTHENTICATED, "The issuer cannot be reached at '%.200s'.",
                    request->url);
    if (response.status != 200 ||
        json_parse_object(response.body, response.body_len, DOCUMENT_MAX, &document, &reason) != 0)
        return fail(err, &E_UNAUTHENTICATED, "The issuer's answer of '%.200s' is no document (%d).",
                    request->url, response.status);
    *ret = json_own(a, document);
    return 0;
}

int issuer_about(struct control *control, struct arena *a, const char *issuer,
                 struct json_object **ret, struct error *err)
{
    size_t len = strlen(issuer);
    while (len > 0 && issuer[len - 1] == '/')
        len--;
    struct client_request request = {
        .url = arena_printf(a, "%.*s/.well-known/openid-configuration", (int)len, issuer)
    };
    if (ask(control, a, &request, ret, err) != 0)
        return -1;
    if (!text_eq(json_text(*ret, "issuer"), issuer) || !json_text(*ret, "jwks_uri"))
        return fail(err, &E_UNAUTHENTICATED, "The issuer's configuration is another's.");
    return 0;
}

int issuer_verify(struct control *control, struct arena *a, const struct json_object *about,
                  const char *token, struct json_object **ret_claims, struct error *err)
{
    struct client_request request = { .url = json_text(about, "jwks_uri") };
    struct foreign_key *keys = arena_array(a, KEYS_MAX, sizeof(*keys));
    struct json_object *set = NULL;
    size_t count = 0;
    if (ask(control, a, &request, &set, err) != 0)
        return -1;
    const struct json_object *list = json_at(set, "keys");
    for (size_t i = 0; i < json_count(list) && count < KEYS_MAX; i++)
        count += (size_t)foreign_key_of_jwk(a, json_item(list, i), &keys[count]);
    return foreign_token_verify(a, token, keys, count, 0, ret_claims, err);
}

int issuer_redeem(struct control *control, struct arena *a, const struct json_object *about,
                  const char *form, const char *basic, struct json_object **ret, struct error *err)
{
    const char *headers[] = { "Content-Type: application/x-www-form-urlencoded",
                              "Accept: application/json",
                              basic ? arena_printf(a, "Authorization: %s", basic) : NULL, NULL };
    struct client_request request = { .method = "POST",
                                      .url = json_text(about, "token_endpoint"),
                                      .headers = headers,
                                      .body = form,
                                      .body_len = strlen(form) };
    return ask(control, a, &request, ret, err);
}

bool issuer_has_audience(const struct json_object *claims, const char *audience)
{
    const struct json_object *aud = json_at(claims, "aud");
    for (size_t i = 0; json_kind(aud) == JSON_ARRAY && i < json_count(aud); i++) {
        if (text_eq(json_text(json_item(aud, i), ""), audience))
            return true;
    }
    return text_eq(json_text(claims, "aud"), audience);
}
