/* Linked templates, template specs and key vault references: see the header. Links are fetched from
 * public addresses only, and those the installation allows; everything of this installation is read
 * in the caller's name. */
#include "controlplane/deployments/content.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"
#include "templates/language/source.h"
#include "templates/language/template.h"

#include "controlplane/api/errors.h"
#include "controlplane/api/local.h"
#include "controlplane/control.h"
#include "controlplane/deployments/failure.h"
#include "controlplane/deployments/submission.h"
#include "controlplane/identity/identity.h"
#include "controlplane/keyvault/secrets.h"

#define LINK_TIMEOUT_MS 8000
#define LINK_REDIRECTS 3
#define SPEC_VERSION "2022-02-01"
#define SPEC_SEGMENT "/providers/Microsoft.Resources/templateSpecs/"
#define KEY_VAULT_HELP "Please see https://aka.ms/arm-keyvault for usage details."

/* Links ---------------------------------------------------------------------------------------- */

/* RFC 3986 5.2 for what links are: a path beside the parent's. */
static char *relative_uri(struct arena *a, const char *base, const char *relative)
{
    const char *start = strstr(base, "://");
    const char *end = base + strcspn(base, "?#");
    const char *slash = end;

    start = start ? start + 3 + strcspn(start + 3, "/") : base;
    while (slash > start && slash[-1] != '/')
        slash--;
    while (text_starts(relative, "./") || text_starts(relative, "../")) {
        bool is_up = relative[1] == '.';

        relative += is_up ? 3 : 2;
        for (slash -= is_up && slash - 1 > start; is_up && slash > start + 1 && slash[-1] != '/';)
            slash--;
    }
    return arena_printf(a, "%.*s%s%s", (int)(slash - base), base,
                        slash > base && slash[-1] == '/' ? "" : "/", relative);
}

static int new_client(struct submission *s, struct client **ret, struct error *err)
{
    const struct control_settings *settings = s->control->settings;
    const char *allow = settings->links_allow;
    char **ranges = NULL;
    size_t count = allow && allow[0] ? text_split(s->arena, allow, ' ', &ranges) : 0;
    const char **cidrs = arena_array(s->arena, count + 1, sizeof(*cidrs));

    for (size_t i = 0; i < count; i++)
        cidrs[i] = ranges[i];
    return client_new(&(struct client_config){ .reach = CLIENT_PUBLIC,
                                               .allowed_cidrs = cidrs,
                                               .ca_file = settings->links_ca_file },
                      ret, err);
}

static int fetch(struct submission *s, const char *what, const char *uri, char **ret,
                 struct error *err)
{
    const struct client_request request = { .url = uri,
                                            .timeout_ms = LINK_TIMEOUT_MS,
                                            .max_body_bytes = TEMPLATE_BYTES_MAX,
                                            .max_redirects = LINK_REDIRECTS };
    struct client_response response = { 0 };
    struct client *client = NULL;
    struct error reason = { 0 };
    int shown = (int)strcspn(uri, "?"); /* a query may be a signature that opens the link */
    int rc;

    if (!text_starts_nocase(uri, "https://"))
        return fail(err, &E_CONTENT_LINK, "Invalid %s uri '%.300s': it must begin with https://.",
                    what, arena_strndup(s->arena, uri, (size_t)shown));
    if (new_client(s, &client, err))
        return -1;
    rc = client_send(client, s->arena, &request, &response, &reason);
    client_free(client);
    if (rc == 0 && response.status == 200) {
        *ret = response.body;
        return 0;
    }
    return fail(err, &E_CONTENT_LINK,
                "Unable to download deployment content from '%.300s'. %.300s",
                arena_strndup(s->arena, uri, (size_t)shown),
                rc ? reason.message
                   : arena_printf(s->arena, "The answer was %d, not 200.", response.status));
}

/* Template specs ------------------------------------------------------------------------------- */

static const struct json_object *artifact(const struct json_object *version, const char *path)
{
    static const char *const lists[] = { "properties.linkedTemplates", "properties.artifacts" };

    while (text_starts(path, "./"))
        path += 2;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const struct json_object *list = json_at(version, lists[i]);

        for (size_t k = 0; k < json_count(list); k++)
            if (text_eq_nocase(json_text(json_item(list, k), "path"), path))
                return json_at(json_item(list, k), "template");
    }
    return NULL;
}

/* path NULL: the main template. */
static int read_spec(struct submission *s, const char *id, const char *path, struct error *err)
{
    struct arm_call call = { .arena = s->arena, .app = s->app, .caller = s->caller,
                             .correlation_id = s->correlation_id, .peer_text = s->peer_text,
                             .method = "GET", .path = id, .api_version = SPEC_VERSION };
    const struct json_object *template;
    const char *message;

    if (!strcasestr(id, SPEC_SEGMENT) || !strcasestr(id, "/versions/"))
        return fail(err, &E_CONTENT_LINK,
                    "The templateLink id '%.300s' is not the id of a template spec's version.", id);
    if (arm_call(&call, err))
        return -1;
    message = json_text(call.answer, "message");
    if (call.status >= 500)
        return fail(err, &E_UNAVAILABLE, "The template spec '%.300s' could not be read; try again.",
                    id);
    if (!arm_call_is_good(&call))
        return fail(err, &E_CONTENT_LINK, "Unable to read the template spec '%.300s'. %.300s", id,
                    message ? message : "");
    template = path ? artifact(call.answer, path)
                    : json_at(call.answer, "properties.mainTemplate");
    if (json_kind(template) != JSON_OBJECT)
        return fail(err, &E_CONTENT_LINK, "The template spec '%.300s' has no template '%.100s'.",
                    id, path ? path : "main");
    s->template_text = json_print(s->arena, template);
    s->template_link = id;
    return 0;
}

/* Templates ------------------------------------------------------------------------------------ */

static int read_uri(struct submission *s, const char *uri, const char *query, struct error *err)
{
    char *text = NULL;

    s->template_link = uri;
    if (query && query[0])
        uri = arena_printf(s->arena, "%s%s%s", uri, strchr(uri, '?') ? "&" : "?",
                           query[0] == '?' ? query + 1 : query);
    if (fetch(s, "templateLink", uri, &text, err))
        return -1;
    s->template_text = text;
    return 0;
}

static int read_linked(struct submission *s, const struct json_object *link, struct error *err)
{
    const char *uri = json_text(link, "uri"), *id = json_text(link, "id");
    const char *path = json_text(link, "relativePath");
    const char *parent = s->parent_link;

    if (uri && id)
        return fail(err, &E_CONTENT_LINK, "The templateLink may have a 'uri' or an 'id', not both.");
    if (id)
        return read_spec(s, id, path, err);
    if (!uri && path && parent && parent[0] == '/')
        return read_spec(s, parent, path, err);
    if (!uri && path && parent)
        uri = relative_uri(s->arena, parent, path);
    if (!uri)
        return fail(err, &E_CONTENT_LINK, "The templateLink needs a 'uri' or an 'id'%s.",
                    path ? " (there is no linked template that the relativePath starts from)" : "");
    return read_uri(s, uri, json_text(link, "queryString"), err);
}

/* A link may say which contentVersion it means. */
static int check_version(const struct json_object *link, const char *text, size_t max,
                         const char *what, struct error *err)
{
    _cleanup_(json_putp) struct json_object *file = NULL;
    const char *wanted = json_text(link, "contentVersion"), *has;
    struct error reason;

    if (!wanted)
        return 0;
    if (json_parse(text, strlen(text), max, JSON_TEMPLATE, &file, &reason))
        return 0; /* what is wrong with it is told with its place later */
    has = json_text(file, "contentVersion");
    if (text_eq(has, wanted))
        return 0;
    return fail(err, &E_CONTENT_LINK,
                "The %s contentVersion '%.60s' does not match the contentVersion '%.60s' of the "
                "linked file.",
                what, wanted, has ? has : "");
}

/* The template as the request has it, so that errors tell the lines its author sees. */
static const char *written_template(struct submission *s, const struct json_object *template)
{
    static const char *const path[] = { "properties", "template", NULL };
    const char *text = NULL;
    size_t len = 0;

    if (s->request_text && source_slice(s->request_text, s->request_len, path, &text, &len))
        return arena_strndup(s->arena, text, len);
    return json_print(s->arena, template);
}

int content_template(struct submission *s, const struct json_object *properties, struct error *err)
{
    struct json_object *template = json_at(properties, "template");
    struct json_object *link = json_at(properties, "templateLink");

    if (template && link)
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'Only one of "
                    "'template' and 'templateLink' may be given.'.");
    if (json_kind(link) == JSON_OBJECT)
        return read_linked(s, link, err) ||
                       check_version(link, s->template_text, TEMPLATE_BYTES_MAX, "templateLink", err)
                   ? -1
                   : 0;
    if (s->is_replay && json_kind(template) == JSON_TEXT) {
        s->template_text = json_text(template, "");
        return 0;
    }
    if (json_kind(template) != JSON_OBJECT)
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'The property "
                    "'template' must be an object.'.");
    s->template_text = written_template(s, template);
    return 0;
}

/* Parameters ----------------------------------------------------------------------------------- */

/* The codes of the vault as those of a parameter. */
static int fail_secret(struct submission *s, const char *name, const char *vault,
                       const struct error *why, struct error *err)
{
    if (why->code->status >= 500) {
        *err = *why;
        return -1;
    }
    if (why->code == &E_AUTHORIZATION_FAILED)
        return fail_at(err, &E_KEY_VAULT_RIGHTS, name,
                       "The client '%.100s' with object id '%s' does not have permission to "
                       "perform action 'MICROSOFT.KEYVAULT/VAULTS/DEPLOY/ACTION' on the specified "
                       "KeyVault resource '%.300s'. " KEY_VAULT_HELP,
                       s->caller->name, s->caller->object_id, vault);
    if (why->code == &E_RESOURCE_NOT_FOUND)
        return fail_at(err, &E_KEY_VAULT_REFERENCE, name,
                       "The specified KeyVault '%.300s' could not be found. " KEY_VAULT_HELP,
                       vault);
    return fail_at(err, &E_KEY_VAULT_SECRET, name,
                   "The secret of KeyVault parameter '%.100s' cannot be retrieved. Http status "
                   "code: '%s'. Error message: '%.300s'. " KEY_VAULT_HELP,
                   name, why->code->status == 403 ? "Forbidden" : "NotFound", why->message);
}

static int fetch_secret(struct submission *s, const char *name, const struct json_object *reference,
                        struct json_object *out, struct error *err)
{
    const char *vault = json_text(reference, "keyVault.id");
    const char *secret = json_text(reference, "secretName"), *value = NULL;
    struct json_object *one;
    struct error why = { 0 };

    if (!vault || !secret)
        return fail_at(err, &E_INVALID_CONTENT, name,
                       "The request content was invalid and could not be deserialized: 'The "
                       "reference of parameter '%.100s' needs keyVault.id and secretName.'.",
                       name);
    if (vault_secret_fetch(s->control, s->arena, s->caller, vault, secret,
                           json_text(reference, "secretVersion"), &value, &why))
        return fail_secret(s, name, vault, &why, err);
    one = json_new_object();
    json_set_text(one, "value", value);
    json_set(out, name, one);
    json_add_text(s->fetched, value);
    json_set(s->references, name, json_copy(reference));
    return 0;
}

struct parameters {
    struct submission *s;
    struct json_object *out;
    struct error *err;
    int rc;
};

static void read_parameter(void *ctx, const char *key, struct json_object *value)
{
    struct parameters *p = ctx;

    if (p->rc)
        return;
    if (json_kind(json_at(value, "reference")) == JSON_OBJECT && !json_has(value, "value"))
        p->rc = fetch_secret(p->s, key, json_at(value, "reference"), p->out, p->err);
    else
        json_set(p->out, key, json_get(value));
}

/* The file that parametersLink names. */
static int read_file(struct submission *s, const struct json_object *link, const char *uri,
                     const struct json_object **ret, struct error *err)
{
    struct json_object *file = NULL;
    struct error reason;
    char *text = NULL;

    if (fetch(s, "parametersLink", uri, &text, err))
        return -1;
    if (json_parse(text, strlen(text), TEMPLATE_BYTES_MAX, JSON_TEMPLATE, &file, &reason))
        return fail(err, &E_CONTENT_LINK, "The parameter file at '%.300s' is not valid: %.300s",
                    arena_strndup(s->arena, uri, strcspn(uri, "?")), reason.message);
    *ret = json_at(json_own(s->arena, file), "parameters");
    return check_version(link, text, TEMPLATE_BYTES_MAX, "parametersLink", err);
}

int content_parameters(struct submission *s, const struct json_object *properties,
                       struct json_object **ret, struct error *err)
{
    const struct json_object *given = json_at(properties, "parameters");
    const char *uri = json_text(properties, "parametersLink.uri");
    struct parameters p = { .s = s, .out = json_own(s->arena, json_new_object()), .err = err };

    s->fetched = json_own(s->arena, json_new_array());
    s->references = json_own(s->arena, json_new_object());
    if (uri && json_count(given))
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'Only one of "
                    "'parameters' and 'parametersLink' may be given.'.");
    if (uri && read_file(s, json_at(properties, "parametersLink"), uri, &given, err))
        return -1;
    json_each(given, read_parameter, &p);
    *ret = p.out;
    return p.rc;
}
