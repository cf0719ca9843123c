/* Microsoft.Network/privateDnsZones/{A,AAAA,CNAME,MX,PTR,SOA,SRV,TXT}: the record sets of a zone, one
 * type a kind, which differ in the member that carries the records. */
#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/prefix.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/network.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/network.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"

#define RECORDS_MAX 20
#define TEXT_MAX 1024
#define HOST_MAX 254
#define TTL_MAX 2147483647
#define NEVER "9999-01-01" /* in no version: record sets tell no state */

struct record_text {
    char *text;
};

static const struct field a_fields[] = {
    { ROW_IN(record_text, "ipv4Address", FIELD_TEXT, text), RW_REQUIRED, .max = 15 },
    { 0 },
};
static const struct field aaaa_fields[] = {
    { ROW_IN(record_text, "ipv6Address", FIELD_TEXT, text), RW_REQUIRED, .max = 45 },
    { 0 },
};
static const struct field mx_fields[] = {
    { ROW("preference", FIELD_INT), RW_REQUIRED, .min = 0, .max = 65535 },
    { ROW("exchange", FIELD_TEXT), RW_REQUIRED, .max = HOST_MAX },
    { 0 },
};
static const struct field ptr_fields[] = {
    { ROW("ptrdname", FIELD_TEXT), RW_REQUIRED, .max = HOST_MAX },
    { 0 },
};
static const struct field srv_fields[] = {
    { ROW("priority", FIELD_INT), RW_REQUIRED, .min = 0, .max = 65535 },
    { ROW("weight", FIELD_INT), RW_REQUIRED, .min = 0, .max = 65535 },
    { ROW("port", FIELD_INT), RW_REQUIRED, .min = 0, .max = 65535 },
    { ROW("target", FIELD_TEXT), RW_REQUIRED, .max = HOST_MAX },
    { 0 },
};
static const struct field txt_fields[] = {
    { ROW("value", FIELD_TEXT_LIST), RW_REQUIRED, .max = 64 },
    { 0 },
};

struct record_set {
    struct field_list addresses; /* of struct record_text */
    char *cname;
};

#define ROWS_ALL                                                                                   \
    { ROW("properties.ttl", FIELD_INT), RW, .min = 0, .max = TTL_MAX, .def = "3600" },             \
    { ROW("properties.metadata", FIELD_TEXT_MAP), RW, .max = 10, .def = "{}" },                    \
    { ROW_SHOWN("properties.fqdn", FIELD_TEXT) },                                                  \
    { ROW_SHOWN("properties.isAutoRegistered", FIELD_BOOL), .def = "false" },                      \
    { ROW_SHOWN("properties.provisioningState", FIELD_TEXT), .since = NEVER },                     \
    { 0 }
#define LIST_OF(rows, size) .of = rows, .of_size = size, RW, .max = RECORDS_MAX, .def = "[]"

static const struct field a_set[] = {
    { ROW_IN(record_set, "properties.aRecords", FIELD_LIST, addresses),
      LIST_OF(a_fields, sizeof(struct record_text)) },
    ROWS_ALL,
};
static const struct field aaaa_set[] = {
    { ROW_IN(record_set, "properties.aaaaRecords", FIELD_LIST, addresses),
      LIST_OF(aaaa_fields, sizeof(struct record_text)) },
    ROWS_ALL,
};
static const struct field cname_set[] = {
    { ROW_IN(record_set, "properties.cnameRecord.cname", FIELD_TEXT, cname), RW, .max = HOST_MAX },
    ROWS_ALL,
};
static const struct field mx_set[] = {
    { ROW("properties.mxRecords", FIELD_LIST), LIST_OF(mx_fields, 1) }, ROWS_ALL,
};
static const struct field ptr_set[] = {
    { ROW("properties.ptrRecords", FIELD_LIST), LIST_OF(ptr_fields, 1) }, ROWS_ALL,
};
static const struct field srv_set[] = {
    { ROW("properties.srvRecords", FIELD_LIST), LIST_OF(srv_fields, 1) }, ROWS_ALL,
};
static const struct field txt_set[] = {
    { ROW("properties.txtRecords", FIELD_LIST), LIST_OF(txt_fields, 1) }, ROWS_ALL,
};
#define SOA "properties.soaRecord."
static const struct field soa_set[] = {
    { ROW_SHOWN(SOA "host", FIELD_TEXT), .def = "\"azureprivatedns.net\"" },
    { ROW(SOA "email", FIELD_TEXT), RW, .max = HOST_MAX,
      .def = "\"azureprivatedns-host.microsoft.com\"" },
    { ROW(SOA "serialNumber", FIELD_INT), RW, .min = 0, .max = 4294967295, .def = "1" },
    { ROW(SOA "refreshTime", FIELD_INT), RW, .min = 0, .max = TTL_MAX, .def = "3600" },
    { ROW(SOA "retryTime", FIELD_INT), RW, .min = 0, .max = TTL_MAX, .def = "300" },
    { ROW(SOA "expireTime", FIELD_INT), RW, .min = 0, .max = TTL_MAX, .def = "2419200" },
    { ROW(SOA "minimumTtl", FIELD_INT), RW, .min = 0, .max = TTL_MAX, .def = "10" },
    ROWS_ALL,
};

static int check_addresses(const struct record_set *set, int family, struct error *err)
{
    const struct record_text *items = set->addresses.items;
    struct sockaddr_storage address;

    for (size_t i = 0; i < set->addresses.count; i++) {
        bool is_v4 = !strchr(items[i].text, ':');

        if (is_v4 != (family == AF_INET) || !address_parse(items[i].text, &address))
            return fail_at(err, &E_INVALID_PARAMETER, "properties",
                           "The value '%s' is not a valid IPv%d address.", items[i].text,
                           family == AF_INET ? 4 : 6);
        for (size_t j = 0; j < i; j++) {
            if (text_eq_nocase(items[i].text, items[j].text))
                return fail_at(err, &E_INVALID_PARAMETER, "properties",
                               "The address '%s' stands in the record set twice.", items[i].text);
        }
    }
    return 0;
}

static int a_validate(struct arena *a, const void *was, const void *now, struct error *err)
{
    (void)a;
    (void)was;
    return check_addresses(now, AF_INET, err);
}

static int aaaa_validate(struct arena *a, const void *was, const void *now, struct error *err)
{
    (void)a;
    (void)was;
    return check_addresses(now, AF_INET6, err);
}

/* RFC 1034 3.6.2: an alias has no other records beside it. */
static int record_admit(const struct admission *ad, struct error *err)
{
    const char *cname = type_key(ad->arena, &private_dns_cname_type);
    bool is_cname = text_eq(ad->resource->type_key, cname);
    struct resource *others = NULL;
    size_t count = 0;

    if (ad->change != CHANGE_CREATE)
        return 0;
    if (is_cname && text_eq(ad->resource->name, "@"))
        return fail(err, &E_BAD_REQUEST,
                    "A CNAME record set cannot stand at the apex of the zone '%s'.",
                    ad->parent->name);
    if (network_named_below(ad->conn, ad->arena, ad->parent, ad->resource->name, &others, &count,
                            err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (text_eq(others[i].uid, ad->resource->uid) ||
            text_ends(others[i].type_key, "/virtualnetworklinks") ||
            (!is_cname && !text_eq(others[i].type_key, cname)))
            continue;
        return fail(err, &E_BUSY,
                    "The record could not be created because a CNAME record cannot have the name "
                    "of other records, and '%s' is there.",
                    others[i].id);
    }
    return 0;
}

/* "www.example.org." of …/privateDnsZones/example.org/A/www */
static void record_show(struct arena *a, struct control *control, const struct resource *r,
                        struct json_object *shown)
{
    const char *key = network_key_above(a, r->id, 1);
    const char *zone = strrchr(key, '/') + 1;

    (void)control;
    json_put_at(shown, "properties.fqdn",
                json_new_text(text_eq(r->name, "@") ? arena_printf(a, "%s.", zone)
                                                    : arena_printf(a, "%s.%s.", r->name, zone)));
}

#define RECORD_TYPE(kind, set, ...)                                                                \
    {                                                                                              \
        .name = "Microsoft.Network/privateDnsZones/" kind, .description = kind " record set",      \
        .scope = SCOPE_CHILD, .parent = &private_dns_zone_type,                                    \
        .pattern = "@|(\\*|[A-Za-z0-9_-]+)(\\.[A-Za-z0-9_-]+)*", .name_min = 1, .name_max = 253,   \
        .pattern_text = "a record set is named by labels with dots between them, '*' may be the "  \
                        "first one, '@' is the zone itself.",                                      \
        .hides_system_data = true, .has_etag = true, .moves_parent = true,                         \
        .api_versions = private_dns_versions, .size = sizeof(struct record_set), .fields = set,    \
        .show = record_show, __VA_ARGS__                                                           \
    }

const struct resource_type private_dns_a_type =
    RECORD_TYPE("A", a_set, .validate = a_validate, .admit = record_admit);
const struct resource_type private_dns_aaaa_type =
    RECORD_TYPE("AAAA", aaaa_set, .validate = aaaa_validate, .admit = record_admit);
const struct resource_type private_dns_cname_type =
    RECORD_TYPE("CNAME", cname_set, .admit = record_admit);
const struct resource_type private_dns_mx_type = RECORD_TYPE("MX", mx_set, .admit = record_admit);
const struct resource_type private_dns_ptr_type =
    RECORD_TYPE("PTR", ptr_set, .admit = record_admit);
const struct resource_type private_dns_srv_type =
    RECORD_TYPE("SRV", srv_set, .admit = record_admit);
const struct resource_type private_dns_txt_type =
    RECORD_TYPE("TXT", txt_set, .admit = record_admit);
const struct resource_type private_dns_soa_type =
    RECORD_TYPE("SOA", soa_set, .refuses = REFUSES_DELETE, .is_made_elsewhere = true);
