/* Access tokens by client credentials (RFC 6749 section 4.4). One token serves all threads; it is
 * renewed some time before its end. */
#include "sdk/src/internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"

#define TOKEN_REPLY_MAX ((size_t)256 << 10)
#define FORM_MAX        ((size_t)16 << 10)
#define RENEW_BEFORE_S  300

const struct error_code SDK_E_SIGN_IN = { "SignInFailed", 401 };

static void add_field(struct str *form, struct arena *a, const char *name, const char *value)
{
    str_printf(form, "%s%s=%s", form->len ? "&" : "", name, text_percent_encode(a, value));
}

static int read_token(struct arena *a, const struct client_response *reply, char **ret,
                      int64_t *ret_lives_s, struct error *err)
{
    struct json_object *body = NULL;
    const char *token, *told;

    if (json_parse_object(reply->body, reply->body_len, TOKEN_REPLY_MAX, &body, err))
        return fail(err, &SDK_E_SIGN_IN,
                    "The login host answered %d with something else than JSON.", reply->status);
    json_own(a, body);
    told = json_text(body, "error_description");
    if (reply->status != 200)
        return fail(err, &SDK_E_SIGN_IN, "%s", told ? told : "The login host refused.");
    token = json_text(body, "access_token");
    *ret_lives_s = json_int(body, "expires_in", 0);
    if (!token || *ret_lives_s <= 0 || !text_is_field_value(token, strlen(token)))
        return fail(err, &SDK_E_SIGN_IN, "The login host's answer holds no token.");
    *ret = arena_strdup(a, token);
    return 0;
}

/* The login host restarts with the rest of the service. */
static int ask_patiently(struct portolan *p, struct arena *a, const struct client_request *request,
                         struct client_response *ret, struct error *err)
{
    int64_t end = clock_mono_ms() + p->patience_ms, pause = 0;

    for (;;) {
        int rc = client_send(p->http, a, request, ret, err);
        bool is_away = rc ? err->code == &E_UNAVAILABLE : ret->status == 503;

        if (!is_away || clock_mono_ms() >= end)
            return rc;
        pause = sdk_pause(pause, 100, 2000);
        clock_sleep_ms(pause);
    }
}

static int ask(struct portolan *p, struct arena *a, char **ret, int64_t *ret_lives_s,
               struct error *err)
{
    static const char *const headers[] = { "Content-Type: application/x-www-form-urlencoded",
                                           NULL };
    _cleanup_(str_done) struct str form;
    struct client_response reply;

    str_init(&form, FORM_MAX);
    add_field(&form, a, "grant_type", "client_credentials");
    add_field(&form, a, "client_id", p->client_id);
    add_field(&form, a, "client_secret", p->client_secret);
    add_field(&form, a, "scope", arena_printf(a, "%s/.default", p->management));
    if (str_check(&form, err))
        return -1;
    struct client_request request = {
        .method = "POST",
        .url =
            arena_printf(a, "%s/%s/oauth2/v2.0/token", p->login, text_percent_encode(a, p->tenant)),
        .headers = headers,
        .body = form.data,
        .body_len = form.len,
        .max_body_bytes = TOKEN_REPLY_MAX,
    };
    int rc = ask_patiently(p, a, &request, &reply, err);
    explicit_bzero(form.data, form.len);
    return rc ? -1 : read_token(a, &reply, ret, ret_lives_s, err);
}

/* Under the lock, so that many threads ask once. */
static int renew(struct portolan *p, struct arena *a, struct error *err)
{
    int64_t lives_s = 0, early_s;
    char *token = NULL;

    if (ask(p, a, &token, &lives_s, err))
        return -1;
    early_s = lives_s > 2 * RENEW_BEFORE_S ? RENEW_BEFORE_S : lives_s / 2;
    free(p->token);
    p->token = strdup(token);
    if (!p->token)
        abort();
    p->token_until_ms = clock_mono_ms() + (lives_s - early_s) * 1000;
    return 0;
}

int sdk_token(struct portolan *p, struct arena *a, const char *not_this, char **ret,
              struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&p->lock);
    if (!p->token || clock_mono_ms() >= p->token_until_ms ||
        (not_this && text_eq(not_this, p->token)))
        rc = renew(p, a, err);
    if (rc == 0)
        *ret = arena_strdup(a, p->token);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int portolan_sign_in(struct portolan *p, struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error why;
    char *token = NULL;

    return sdk_token(p, a, NULL, &token, &why) ? sdk_report(&why, err) : 0;
}
