/* Private DNS of an attached network: what its zone files say, that nobody's record can say more than
 * it should, and that an unchanged zone is left alone. */
/* links: portolan_control */
#include "controlplane/provision/ingress_zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "controlplane/store/attached.h"

#include <cmocka.h>

#define HOST "reg.cr.example.test"
#define PRIVATE "privatelink.cr.example.test"

static const char *const regions[] = { "eastus", NULL };
static const char *hosts[] = { HOST, "other.elsewhere.test" };

static struct attached_record record(struct arena *a, const char *zone, const char *name,
                                     const char *type, const char *data)
{
    struct json_object *value = NULL;
    struct error err;

    assert_int_equal(json_parse(data, strlen(data), 4096, JSON_STRICT, &value, &err), 0);
    return (struct attached_record){ zone, name, type, 60, json_own(a, value) };
}

static const char *zone_of(struct arena *a, const struct attached *net, const char *ingress,
                           size_t *ret_count)
{
    struct ingress_zone *zones;

    *ret_count = ingress_zones(a, net, "example.test", regions, ingress, false, &zones);
    assert_string_equal(zones[0].name, "example.test");
    return zones[0].body;
}

static void assert_has(const char *body, const char *line)
{
    if (!strstr(body, line))
        fail_msg("no '%s' in:\n%s", line, body);
}

static void assert_lacks(const char *body, const char *text)
{
    if (strstr(body, text))
        fail_msg("'%s' in:\n%s", text, body);
}

static void names_lead_to_the_ingress(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct attached net = { .linked_hosts = hosts, .linked_host_count = 2 };
    size_t count;
    const char *body = zone_of(a, &net, "10.0.0.4", &count);

    (void)state;
    assert_int_equal(count, 1);
    assert_has(body, "\n*.example.test. 10 A 10.0.0.4\n");
    assert_has(body, "\n*.eastus.data.cr.example.test. 10 A 10.0.0.4\n");
    assert_has(body, "\n" HOST ". 10 CNAME reg." PRIVATE ".\n");
    assert_has(body, "\n*." PRIVATE ". 10 A 10.0.0.4\n");
    assert_lacks(body, "elsewhere");
    assert_lacks(zone_of(a, &net, NULL, &count), " A ");
}

static void a_linked_zone_has_the_last_word(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct attached_record records[] = {
        record(a, PRIVATE, "reg", "A", "{\"aRecords\":[{\"ipv4Address\":\"10.0.3.4\"}]}"),
        record(a, "corp.test", "@", "MX",
               "{\"mxRecords\":[{\"preference\":10,\"exchange\":\"mail.corp.test\"}]}"),
    };
    const char *zones[] = { PRIVATE, "corp.test" };
    struct attached net = { .linked_hosts = hosts, .linked_host_count = 1, .zones = zones,
                            .zone_count = 2, .records = records, .record_count = 2 };
    struct ingress_zone *all;
    size_t count = ingress_zones(a, &net, "example.test", regions, "10.0.0.4", false, &all);

    (void)state;
    assert_int_equal(count, 2);
    assert_has(all[0].body, "\nreg." PRIVATE ". 60 A 10.0.3.4\n");
    /* Without it, the wildcard of cr.example.test would answer for names the zone does not have. */
    assert_has(all[0].body, "\n" PRIVATE ". 10 TXT \"private zone\"\n");
    assert_lacks(all[0].body, "*." PRIVATE);
    assert_lacks(all[0].body, "data." PRIVATE);
    assert_string_equal(all[1].name, "corp.test");
    assert_string_equal(all[1].body,
                        "corp.test. 10 NS ns.corp.test.\ncorp.test. 60 MX 10 mail.corp.test.\n");
}

static void addresses_that_nobody_holds_lead_to_the_ingress(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct attached_record records[] = {
        record(a, PRIVATE, "reg", "A",
               "{\"aRecords\":[{\"ipv4Address\":\"10.0.3.4\"},{\"ipv4Address\":\"10.0.3.5\"},"
               "{\"ipv4Address\":\"10.0.9.9\"}]}"),
    };
    struct attached_link links[] = { { .address = "10.0.3.4" }, { .address = "10.0.3.5" } };
    const char *zones[] = { PRIVATE };
    struct attached net = { .linked_hosts = hosts, .linked_host_count = 1, .zones = zones,
                            .zone_count = 1, .records = records, .record_count = 1, .links = links,
                            .link_count = 2 };
    struct ingress_zone *all;

    (void)state;
    (void)ingress_zones(a, &net, "example.test", regions, "127.0.0.9", true, &all);
    assert_has(all[0].body, "\nreg." PRIVATE ". 60 A 127.0.0.9\nreg." PRIVATE ". 60 A 10.0.9.9\n");
    assert_lacks(all[0].body, "10.0.3.");
    (void)ingress_zones(a, &net, "example.test", regions, "fd00::9", true, &all);
    assert_has(all[0].body, "\nreg." PRIVATE ". 60 AAAA fd00::9\n");
    (void)ingress_zones(a, &net, "example.test", regions, NULL, true, &all);
    assert_has(all[0].body, "\nreg." PRIVATE ". 60 A 10.0.3.4\n");
}

static void a_record_of_ones_own_stands_before_the_alias(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct attached_record records[] = {
        record(a, "cr.example.test", "reg", "A", "{\"aRecords\":[{\"ipv4Address\":\"10.9.9.9\"}]}"),
    };
    const char *zones[] = { "cr.example.test" };
    struct attached net = { .linked_hosts = hosts, .linked_host_count = 1, .zones = zones,
                            .zone_count = 1, .records = records, .record_count = 1 };
    size_t count;
    const char *body = zone_of(a, &net, "10.0.0.4", &count);

    (void)state;
    assert_has(body, "\n" HOST ". 60 A 10.9.9.9\n");
    assert_lacks(body, "CNAME");
    assert_lacks(body, "*.cr.example.test");
}

/* Nothing that a person wrote may begin a line, or another record, of its own. */
static void records_cannot_break_out(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct attached_record records[] = {
        record(a, "corp.test", "a b", "A", "{\"aRecords\":[{\"ipv4Address\":\"10.0.0.1\"}]}"),
        record(a, "corp.test", "x\n$INCLUDE", "A",
               "{\"aRecords\":[{\"ipv4Address\":\"10.0.0.1\"}]}"),
        record(a, "corp.test", "y", "A",
               "{\"aRecords\":[{\"ipv4Address\":\"10.0.0.1\\nevil A 10.0.0.2\"}]}"),
        record(a, "corp.test", "z", "CNAME", "{\"cnameRecord\":{\"cname\":\"a.test. ; b\"}}"),
        record(a, "corp.test", "t", "TXT",
               "{\"txtRecords\":[{\"value\":[\"\\\"\\n$INCLUDE /etc/passwd\"]}]}"),
        record(a, "corp.test", "p", "SRV",
               "{\"srvRecords\":[{\"priority\":-1,\"weight\":70000,\"port\":1,"
               "\"target\":\"t.test\"}]}"),
    };
    const char *zones[] = { "corp.test", "bad zone.test", "*.test" };
    struct attached net = { .zones = zones, .zone_count = 3, .records = records,
                            .record_count = ARRAY_LEN(records) };
    struct ingress_zone *all;
    size_t count = ingress_zones(a, &net, "example.test", regions, "10.0.0.4", false, &all);

    (void)state;
    assert_int_equal(count, 2);
    assert_string_equal(all[1].body,
                        "corp.test. 10 NS ns.corp.test.\n"
                        "t.corp.test. 60 TXT \"\\034\\010\\036\\073\\078\\067\\076\\085\\068\\069"
                        "\\032\\047\\101\\116\\099\\047\\112\\097\\115\\115\\119\\100\"\n"
                        "p.corp.test. 60 SRV 0 0 1 t.test.\n");
}

/* Names that the API takes and a name server does not, and zones that say different things of one
 * name: the server would refuse the whole file, and with it every name of the network. */
static void no_record_takes_the_others_with_it(void **state)
{
    static const char longest[] = "a123456789b123456789c123456789d123456789e123456789f123456789123";
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct attached_record records[] = {
        record(a, "corp.test", longest, "A", "{\"aRecords\":[{\"ipv4Address\":\"10.0.0.1\"}]}"),
        record(a, "corp.test", arena_printf(a, "%s4", longest), "A",
               "{\"aRecords\":[{\"ipv4Address\":\"10.0.0.2\"}]}"),
        record(a, "corp.test", "dots", "CNAME", "{\"cnameRecord\":{\"cname\":\"a..test\"}}"),
        record(a, "corp.test", "dot", "CNAME", "{\"cnameRecord\":{\"cname\":\".\"}}"),
        record(a, "corp.test", "star", "CNAME", "{\"cnameRecord\":{\"cname\":\"a.*.test\"}}"),
        record(a, "corp.test", "*", "CNAME", "{\"cnameRecord\":{\"cname\":\"w.test.\"}}"),
        record(a, "corp.test", "in.deep", "CNAME", "{\"cnameRecord\":{\"cname\":\"w.test\"}}"),
        record(a, "deep.corp.test", "in", "A", "{\"aRecords\":[{\"ipv4Address\":\"10.0.0.3\"}]}"),
        record(a, "cr.example.test", "privatelink", "CNAME",
               "{\"cnameRecord\":{\"cname\":\"w.test\"}}"),
    };
    const char *zones[] = { "corp.test", "cr.example.test", "deep.corp.test", PRIVATE };
    struct attached net = { .zones = zones, .zone_count = 4, .records = records,
                            .record_count = ARRAY_LEN(records) };
    struct ingress_zone *all;
    size_t count = ingress_zones(a, &net, "example.test", regions, "10.0.0.4", false, &all);

    (void)state;
    assert_int_equal(count, 3);
    assert_lacks(all[0].body, "CNAME");
    assert_string_equal(all[1].body,
                        arena_printf(a, "corp.test. 10 NS ns.corp.test.\n"
                                        "%s.corp.test. 60 A 10.0.0.1\n"
                                        "*.corp.test. 60 CNAME w.test.\n",
                                     longest));
    assert_has(all[2].body, "\nin.deep.corp.test. 60 A 10.0.0.3\n");
}

static void serials_grow_and_nothing_is_written_twice(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct ingress_zone zone = { "corp.test", "a.corp.test. 1 A 10.0.0.1\n" };
    char *first = ingress_zone_text(a, &zone, NULL, 100);

    (void)state;
    assert_string_equal(first, "corp.test. 10 SOA ns.corp.test. hostmaster.corp.test. 100 60 60 "
                               "3600 10\na.corp.test. 1 A 10.0.0.1\n");
    assert_null(ingress_zone_text(a, &zone, first, 200));
    zone.body = "a.corp.test. 1 A 10.0.0.2\n";
    assert_has(ingress_zone_text(a, &zone, first, 90), " 101 60 ");
    assert_has(ingress_zone_text(a, &zone, first, 300), " 300 60 ");
    assert_has(ingress_zone_text(a, &zone, "torn", 300), " 300 60 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_the_ingress),
        cmocka_unit_test(a_linked_zone_has_the_last_word),
        cmocka_unit_test(addresses_that_nobody_holds_lead_to_the_ingress),
        cmocka_unit_test(a_record_of_ones_own_stands_before_the_alias),
        cmocka_unit_test(records_cannot_break_out),
        cmocka_unit_test(no_record_takes_the_others_with_it),
        cmocka_unit_test(serials_grow_and_nothing_is_written_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
