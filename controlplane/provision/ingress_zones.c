/* Private DNS as zone files. Names and values come from users: only what is plainly a name, an
 * address or a number is written, texts are escaped. */
#include "controlplane/provision/ingress_zones.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/address.h"
#include "controlplane/store/attached.h"

#define ZONE_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define NAME_MAX_BYTES 253
#define LABEL_MAX_BYTES 63
#define TTL 10

struct writer {
    struct arena *arena;
    const struct attached *net;
    const char *domain;
    const char *ingress;
    bool is_shared;
    const char **names; /* of the records, whole */
    struct str out;
};

/* One bad name in a file, and the name server takes none of the zone. */
static bool is_name(const char *s)
{
    static const char label[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t len = s ? strlen(s) : 0;

    if (len == 0 || len > NAME_MAX_BYTES)
        return false;
    if (text_starts(s, "*."))
        s += 2;
    do {
        size_t n = strspn(s, label);

        if (n == 0 || n > LABEL_MAX_BYTES || (s[n] != '.' && s[n] != '\0'))
            return false;
        s += n + (s[n] == '.');
    } while (*s);
    return true;
}

static const char *full_name(struct arena *a, const struct attached_record *r)
{
    return text_eq(r->name, "@") ? r->zone : arena_printf(a, "%s.%s", r->name, r->zone);
}

static bool is_below(const char *name, const char *zone)
{
    size_t n = strlen(name), z = strlen(zone);

    return text_eq(name, zone) || (n > z && name[n - z - 1] == '.' && text_ends(name, zone));
}

/* Record data ---------------------------------------------------------------------------------- */

static bool is_of_link(const struct attached *net, const char *address)
{
    for (size_t i = 0; i < net->link_count; i++)
        if (text_eq(net->links[i].address, address))
            return true;
    return false;
}

static void put_address(struct writer *w, const char *head, const char *address)
{
    str_printf(&w->out, "%s %s %s\n", head, strchr(address, ':') ? "AAAA" : "A", address);
}

static void put_addresses(struct writer *w, const char *head, const char *type,
                          const struct json_object *data, const char *list, const char *member)
{
    const struct json_object *items = json_at(data, list);
    struct sockaddr_storage parsed;
    bool is_led = false;

    for (size_t i = 0; i < json_count(items); i++) {
        const char *value = json_text(json_item(items, i), member);

        if (!value || !address_parse(value, &parsed))
            continue;
        if (!w->is_shared || !w->ingress || !is_of_link(w->net, value)) {
            str_printf(&w->out, "%s %s %s\n", head, type, value);
        } else if (!is_led) {
            is_led = true; /* once, however many of them there are */
            put_address(w, head, w->ingress);
        }
    }
}

static void put_name(struct writer *w, const char *head, const char *what, const char *name)
{
    if (is_name(name))
        str_printf(&w->out, "%s %s %s%s\n", head, what, name, text_ends(name, ".") ? "" : ".");
}

static void put_texts(struct writer *w, const char *head, const struct json_object *items)
{
    for (size_t i = 0; i < json_count(items); i++) {
        const struct json_object *parts = json_at(json_item(items, i), "value");

        if (json_count(parts) == 0)
            continue;
        str_printf(&w->out, "%s TXT", head);
        for (size_t k = 0; k < json_count(parts); k++) {
            const char *text = json_text(json_item(parts, k), "");

            str_puts(&w->out, " \"");
            for (size_t n = 0; text && text[n] && n < 255; n++)
                str_printf(&w->out, "\\%03u", (unsigned)(unsigned char)text[n]);
            str_putc(&w->out, '"');
        }
        str_putc(&w->out, '\n');
    }
}

static unsigned u16_of(const struct json_object *item, const char *member)
{
    int64_t n = json_int(item, member, 0);

    return n >= 0 && n <= UINT16_MAX ? (unsigned)n : 0;
}

static void put_services(struct writer *w, const char *head, const struct json_object *data)
{
    const struct json_object *mx = json_at(data, "mxRecords"), *srv = json_at(data, "srvRecords");
    const struct json_object *ptr = json_at(data, "ptrRecords");
    struct arena *a = w->arena;

    for (size_t i = 0; i < json_count(mx); i++)
        put_name(w, head, arena_printf(a, "MX %u", u16_of(json_item(mx, i), "preference")),
                 json_text(json_item(mx, i), "exchange"));
    for (size_t i = 0; i < json_count(srv); i++) {
        const struct json_object *s = json_item(srv, i);

        put_name(w, head,
                 arena_printf(a, "SRV %u %u %u", u16_of(s, "priority"), u16_of(s, "weight"),
                              u16_of(s, "port")),
                 json_text(s, "target"));
    }
    for (size_t i = 0; i < json_count(ptr); i++)
        put_name(w, head, "PTR", json_text(json_item(ptr, i), "ptrdname"));
}

static void put_record(struct writer *w, size_t record)
{
    const struct attached_record *r = &w->net->records[record];
    const char *name = w->names[record];
    const char *head = arena_printf(w->arena, "%s. %lld", name, (long long)r->ttl);

    if (!is_name(name) || r->ttl < 0 || r->ttl > INT32_MAX)
        return;
    put_addresses(w, head, "A", r->data, "aRecords", "ipv4Address");
    put_addresses(w, head, "AAAA", r->data, "aaaaRecords", "ipv6Address");
    put_name(w, head, "CNAME", json_text(r->data, "cnameRecord.cname"));
    put_texts(w, head, json_at(r->data, "txtRecords"));
    put_services(w, head, r->data);
}

/* Zones ---------------------------------------------------------------------------------------- */

static bool is_private(const struct attached *net, const char *zone)
{
    for (size_t i = 0; i < net->zone_count; i++)
        if (text_eq(net->zones[i], zone))
            return true;
    return false;
}

static bool has_record(struct writer *w, const char *name)
{
    for (size_t i = 0; i < w->net->record_count; i++)
        if (text_eq(w->names[i], name))
            return true;
    return false;
}

/* Of zones one below the other the nearest speaks for a name. */
static bool speaks_for(const struct writer *w, size_t record)
{
    const char *home = w->net->records[record].zone;

    for (size_t i = 0; i < w->net->zone_count; i++) {
        const char *zone = w->net->zones[i];

        if (strlen(zone) > strlen(home) && is_below(w->names[record], zone))
            return false;
    }
    return true;
}

/* A private zone at that place says all there is to say. */
static void lead_to_ingress(struct writer *w, const char *place)
{
    char *name = arena_printf(w->arena, "*.%s", place);

    for (const char *p = place; p; p = strchr(p, '.'), p = p ? p + 1 : NULL)
        if (is_private(w->net, p))
            return;
    if (w->ingress && !has_record(w, name))
        put_address(w, arena_printf(w->arena, "%s. %d", name, TTL), w->ingress);
}

static void put_linked_hosts(struct writer *w)
{
    char *suffix = arena_printf(w->arena, ".cr.%s", w->domain);

    for (size_t i = 0; i < w->net->linked_host_count; i++) {
        const char *host = w->net->linked_hosts[i];

        if (!is_name(host) || !text_ends(host, suffix) || has_record(w, host))
            continue;
        str_printf(&w->out, "%s. %d CNAME %.*s.privatelink%s.\n", host, TTL,
                   (int)(strlen(host) - strlen(suffix)), host, suffix);
    }
}

static void put_records_of(struct writer *w, const char *zone, bool with_below)
{
    for (size_t i = 0; i < w->net->record_count; i++) {
        const char *home = w->net->records[i].zone;

        if ((with_below ? is_below(home, zone) : text_eq(home, zone)) && speaks_for(w, i))
            put_record(w, i);
    }
}

/* A private zone within the domain's exists even while it is empty: no wildcard above reaches into
 * it. */
static void put_places(struct writer *w)
{
    for (size_t i = 0; i < w->net->zone_count; i++)
        if (is_name(w->net->zones[i]) && !text_eq(w->net->zones[i], w->domain) &&
            is_below(w->net->zones[i], w->domain))
            str_printf(&w->out, "%s. %d TXT \"private zone\"\n", w->net->zones[i], TTL);
}

static void begin(struct writer *w, const char *zone)
{
    str_init(&w->out, ZONE_MAX_BYTES);
    str_printf(&w->out, "%s. %d NS ns.%s.\n", zone, TTL, zone);
}

static struct ingress_zone finish(struct writer *w, const char *zone)
{
    struct ingress_zone z = { .name = zone, .body = str_copy(&w->out, w->arena) };

    str_done(&w->out);
    return z;
}

static struct ingress_zone domain_zone(struct writer *w, const char *const *regions)
{
    static const char *const places[] = { "cr", "privatelink.cr", NULL };

    begin(w, w->domain);
    put_records_of(w, w->domain, true);
    put_places(w);
    lead_to_ingress(w, w->domain);
    for (const char *const *place = places; *place; place++) {
        lead_to_ingress(w, arena_printf(w->arena, "%s.%s", *place, w->domain));
        for (const char *const *r = regions; *r; r++)
            lead_to_ingress(w, arena_printf(w->arena, "%s.data.%s.%s", *r, *place, w->domain));
    }
    put_linked_hosts(w);
    return finish(w, w->domain);
}

size_t ingress_zones(struct arena *a, const struct attached *net, const char *domain,
                     const char *const *regions, const char *ingress, bool is_shared,
                     struct ingress_zone **ret)
{
    struct writer w = {
        .arena = a, .net = net, .domain = domain, .ingress = ingress, .is_shared = is_shared
    };
    struct ingress_zone *zones = arena_array(a, net->zone_count + 1, sizeof(*zones));
    size_t count = 0;

    w.names = arena_array(a, net->record_count + 1, sizeof(*w.names));
    for (size_t i = 0; i < net->record_count; i++)
        w.names[i] = full_name(a, &net->records[i]);
    zones[count++] = domain_zone(&w, regions);
    for (size_t i = 0; i < net->zone_count; i++) {
        if (!is_name(net->zones[i]) || strchr(net->zones[i], '*') ||
            is_below(net->zones[i], domain))
            continue;
        begin(&w, net->zones[i]);
        put_records_of(&w, net->zones[i], false);
        zones[count++] = finish(&w, net->zones[i]);
    }
    *ret = zones;
    return count;
}

char *ingress_zone_text(struct arena *a, const struct ingress_zone *zone, const char *was,
                        int64_t now_s)
{
    char *head = arena_printf(a, "%s. %d SOA ns.%s. hostmaster.%s. ", zone->name, TTL, zone->name,
                              zone->name);
    const char *body = was ? strchr(was, '\n') : NULL;
    int64_t serial = now_s;

    if (body && text_starts(was, head)) {
        int64_t last = strtoll(was + strlen(head), NULL, 10);

        if (text_eq(body + 1, zone->body))
            return NULL;
        serial = serial > last ? serial : last + 1;
    }
    return arena_printf(a, "%s%lld 60 60 3600 %d\n%s", head, (long long)serial, TTL, zone->body);
}
