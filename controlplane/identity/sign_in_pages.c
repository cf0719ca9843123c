/* The two pages people see: signing in for an application that sent their browser here, and letting
 * in a device by its code. There is no session: each form carries name and password, so there is
 * nothing for another site to ride on; who signs in at another provider instead comes back with a
 * cookie that is good once, for the very page he left (external.c). What a request says is not
 * shown. */
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/http/server.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/external.h"
#include "controlplane/identity/openid_paths.h"
#include "controlplane/identity/pages.h"
#include "controlplane/identity/people.h"
#include "controlplane/identity/token_endpoint.h"
#include "controlplane/store/directory.h"
#include "controlplane/store/providers.h"

#define CODE_LIFE_S     300
#define CODE_CHARS      64
#define CHALLENGE_CHARS 43
#define TEXT_MAX        2048
#define BUTTONS_MAX     ((size_t)64 * 1024)

static const char code_field[] =
    "<label>Code shown by the device\n"
    "<input name=\"code\" required autocomplete=\"off\" maxlength=\"9\"></label>\n";
static const char form_fields[] =
    "<label for=\"u\">Name</label>\n"
    "<input id=\"u\" name=\"username\" required autocomplete=\"username\" maxlength=\"256\">\n"
    "<label for=\"p\">Password</label>\n"
    "<input id=\"p\" name=\"password\" type=\"password\" required"
    " autocomplete=\"current-password\" maxlength=\"1024\">\n";

/* A button for each provider at which people may sign in instead. A form of its own, so that name
 * and password are not asked for. "" when there is none, and when they cannot be listed. */
static const char *provider_buttons(struct http_request *req, bool is_device)
{
    _cleanup_(str_done) struct str s = { 0 };
    struct provider *providers = NULL;
    size_t count = 0;
    struct error err;
    if (external_providers(req->app, req->arena, &providers, &count, &err) != 0) {
        log_failure(LOG_ERROR, "login.failed", &err);
        return "";
    }
    str_init(&s, BUTTONS_MAX);
    for (size_t i = 0; i < count; i++)
        str_printf(&s,
                   "<form method=\"post\">%s<button name=\"provider\" value=\"%s\">"
                   "Sign in with %s</button></form>\n",
                   is_device ? code_field : "", providers[i].id,
                   page_escape(req->arena, providers[i].display_name));
    return str_copy(&s, req->arena);
}

/* The form goes back to the address it came from. */
static void reply_form(struct http_request *req, bool is_device, const char *wrong)
{
    const char *body =
        arena_printf(req->arena,
                     "<h1>Sign in</h1>\n%s%s%s<form method=\"post\">\n%s%s"
                     "<button name=\"do\" value=\"yes\">Sign in</button>%s\n</form>\n%s",
                     wrong ? "<p class=\"wrong\" role=\"alert\">" : "", wrong ? wrong : "",
                     wrong ? "</p>\n" : "", is_device ? code_field : "", form_fields,
                     is_device ? " <button name=\"do\" value=\"no\">Decline</button>" : "",
                     provider_buttons(req, is_device));
    if (wrong)
        req->plane =
            arena_printf(req->arena, "sign-in: %s", wrong); /* for the log, as login_fail() */
    page_reply(req, wrong ? 401 : 200, body);
}

/* Name and password of the form; false: it was answered. */
static bool sign_in(struct http_request *req, const char *tenant_id, bool is_device,
                    struct person *ret)
{
    const char *name = NULL, *password = NULL;
    enum people_verdict verdict = PEOPLE_WRONG;
    struct error err;
    if (!login_form(req, "username", &name) || !login_form(req, "password", &password))
        return false;
    if (name && password &&
        people_sign_in(req->app, req, tenant_id, name, password, &verdict, ret, &err) != 0) {
        log_failure(LOG_ERROR, "login.failed", &err);
        page_note(req, 503, "Sign in", "The directory cannot be reached right now.");
        return false;
    }
    if (verdict == PEOPLE_OK)
        return true;
    if (verdict == PEOPLE_TOO_MANY)
        page_note(req, 429, "Sign in", "Too many wrong passwords; try again in a minute.");
    else
        reply_form(req, is_device, "Name or password is wrong.");
    return false;
}

/* Authorization code -------------------------------------------------------------------------- */

struct ask {
    const char *client_id, *redirect_uri, *state, *challenge, *nonce, *audience;
    bool is_form_post;
    struct login_grant grant;
};

/* Each at most once, and of a length that fits. */
static const char *query_one(struct http_request *req, const char *name)
{
    const char **values = NULL;
    size_t count = http_query_all(req, name, &values);
    return count == 1 && values[0][0] && strlen(values[0]) <= TEXT_MAX ? values[0] : NULL;
}

/* OAuth 2.0 Form Post Response Mode. The page runs no script, so a press of its button sends it. */
static void post_back(struct http_request *req, const struct ask *q, const char *name,
                      const char *value)
{
    struct arena *a = req->arena;
    const char *state =
        q->state ? arena_printf(a, "<input type=\"hidden\" name=\"state\" value=\"%s\">\n",
                                page_escape(a, q->state))
                 : "";

    page_reply(
        req, 200,
        arena_printf(a,
                     "<h1>Back to the application</h1>\n<form method=\"post\" action=\"%s\">\n"
                     "<input type=\"hidden\" name=\"%s\" value=\"%s\">\n%s"
                     "<button>Continue to the application</button>\n</form>\n",
                     page_escape(a, q->redirect_uri), name, page_escape(a, value), state));
}

static void redirect(struct http_request *req, const struct ask *q, const char *name,
                     const char *value)
{
    struct arena *a = req->arena;

    if (q->is_form_post) {
        post_back(req, q, name, value);
        return;
    }
    const char *url =
        arena_printf(a, "%s%c%s=%s", q->redirect_uri, strchr(q->redirect_uri, '?') ? '&' : '?',
                     name, text_percent_encode(a, value));
    if (q->state)
        url = arena_printf(a, "%s&state=%s", url, text_percent_encode(a, q->state));
    http_reply_header(req, "Cache-Control", "no-store");
    http_reply_header(req, "Referrer-Policy", "no-referrer");
    http_reply_header(req, "Location", url);
    http_reply_empty(req, 302);
}

/* Until the redirect address is known to be the client's own, nothing is sent there. */
static bool read_ask(struct http_request *req, struct ask *q)
{
    bool is_good = false;
    struct error err;
    *q = (struct ask){ .client_id = query_one(req, "client_id"),
                       .redirect_uri = query_one(req, "redirect_uri"),
                       .state = query_one(req, "state"),
                       .challenge = query_one(req, "code_challenge"),
                       .nonce = query_one(req, "nonce") };
    int found = q->client_id && q->redirect_uri ? people_client(req->app, req->arena, q->client_id,
                                                                q->redirect_uri, &is_good, &err)
                                                : 0;
    if (found < 0) {
        log_failure(LOG_ERROR, "login.failed", &err);
        page_note(req, 503, "Sign in", "The directory cannot be reached right now.");
        return false;
    }
    if (!found || !is_good) {
        page_note(req, 400, "Sign in",
                  "The application, or where it wants you to be sent "
                  "afterwards, is not registered here.");
        return false;
    }
    return true;
}

/* NULL: as it should be; else the error's name (RFC 6749 section 4.1.2.1). */
static const char *check_ask(struct http_request *req, struct ask *q)
{
    const char *mode = query_one(req, "response_mode"), *scope = query_one(req, "scope");
    const char *method = query_one(req, "code_challenge_method");
    q->is_form_post = text_eq(mode, "form_post");
    if (!text_eq(query_one(req, "response_type"), "code"))
        return "unsupported_response_type";
    if ((mode && !q->is_form_post && !text_eq(mode, "query")) || !text_eq(method, "S256") ||
        !q->challenge || strlen(q->challenge) != CHALLENGE_CHARS)
        return "invalid_request";
    q->audience = scope ? login_scope_audience(req, scope) : NULL;
    return q->audience ? NULL : "invalid_scope";
}

static int add_code(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct ask *q = ctx;
    if (login_grant_prune(conn, a, err) != 0)
        return -1;
    return login_grant_add(conn, a, &q->grant, err);
}

static void hand_out_code(struct http_request *req, struct ask *q, const struct person *person)
{
    struct control *control = req->app;
    struct error err;
    const char *code = random_text(req->arena, CODE_CHARS);
    q->grant = (struct login_grant){ .hash = people_hash(req->arena, code),
                                     .kind = "code",
                                     .client_id = q->client_id,
                                     .tenant_id = person->principal.tenant_id,
                                     .principal_id = person->principal.object_id,
                                     .audience = q->audience,
                                     .redirect_uri = q->redirect_uri,
                                     .challenge = q->challenge,
                                     .nonce = q->nonce,
                                     .state = "granted",
                                     .life_s = CODE_LIFE_S };
    if (pg_transact(control->db, req->arena, add_code, q, &err) != 0) {
        log_failure(LOG_ERROR, "login.failed", &err);
        page_note(req, 503, "Sign in", "The directory cannot be reached right now.");
        return;
    }
    redirect(req, q, "code", code);
}

void authorize_page(struct http_request *req, const struct openid_path *path)
{
    struct ask q;
    struct person person;
    struct error err;
    const char *tenant_id = login_tenant(req, path), *wrong, *provider = NULL;
    if (!tenant_id || !read_ask(req, &q))
        return;
    wrong = check_ask(req, &q);
    if (wrong) {
        redirect(req, &q, "error", wrong);
        return;
    }
    if (!text_eq(req->method, "POST")) {
        int found = external_person(req, &person, &err);
        if (found < 0)
            log_failure(LOG_ERROR, "login.failed", &err);
        if (found > 0)
            hand_out_code(req, &q, &person);
        else
            reply_form(req, false, NULL);
        return;
    }
    if (!login_form(req, "provider", &provider))
        return;
    if (provider)
        external_begin(req, provider, NULL);
    else if (sign_in(req, path->is_any_tenant ? NULL : tenant_id, false, &person))
        hand_out_code(req, &q, &person);
}

/* Devices ------------------------------------------------------------------------------------- */

struct decision {
    const char *code;
    const char *principal_id;
    const char *state;
    int found;
};

static int decide(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct decision *d = ctx;
    d->found = login_grant_decide(conn, a, d->code, d->principal_id, d->state, err);
    return d->found < 0 ? -1 : 0;
}

/* Upper case, with its dash. */
static const char *read_code(struct arena *a, const char *text)
{
    char code[10];
    size_t n = 0;
    for (; *text && n < 9; text++) {
        char c = (char)(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
        if (c < 'A' || c > 'Z')
            continue;
        if (n == 4)
            code[n++] = '-';
        code[n++] = c;
    }
    code[n] = '\0';
    return arena_strdup(a, code);
}

void device_decide(struct http_request *req, const char *code, const struct person *person,
                   bool is_granted)
{
    struct control *control = req->app;
    struct error err;
    struct decision d = { .code = read_code(req->arena, code),
                          .principal_id = person->principal.object_id,
                          .state = is_granted ? "granted" : "denied" };
    if (pg_transact(control->db, req->arena, decide, &d, &err) != 0) {
        log_failure(LOG_ERROR, "login.failed", &err);
        page_note(req, 503, "Sign in", "The directory cannot be reached right now.");
        return;
    }
    if (!d.found)
        reply_form(req, true, "There is no such code, or it has expired.");
    else if (!is_granted)
        page_note(req, 200, "Declined", "The device was not signed in.");
    else
        page_note(req, 200, "Signed in", "You may close this window and go back to the device.");
}

void device_page(struct http_request *req)
{
    struct person person;
    const char *code = NULL, *what = NULL, *provider = NULL;
    if (!text_eq(req->method, "POST")) {
        reply_form(req, true, NULL);
        return;
    }
    if (!login_form(req, "code", &code) || !login_form(req, "do", &what) ||
        !login_form(req, "provider", &provider))
        return;
    if (provider)
        external_begin(req, provider, code ? code : "");
    else if (sign_in(req, NULL, true, &person))
        device_decide(req, code ? code : "", &person, !text_eq(what, "no"));
}
