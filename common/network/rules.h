/* Who may reach a registry: the network rules of one registry, compiled from its published settings
 * and asked for every request. Pure: no I/O, no clock. A compiled set is immutable; threads may
 * share it. Both planes decide by it: the data plane for its clients, the control plane when it is
 * asked which rule would decide.
 *
 * Settings read (all optional): publicNetworkAccess, networkRuleSet {defaultAction, ipRules
 * [{value}], virtualNetworkRules [{id | virtualNetworkSubnetResourceId, identity}]},
 * networkRuleBypassOptions, networkRuleBypassAllowedForTasks, privateLinks [{id, identity}],
 * networkServices {principal: "TrustedService" | "Task"}.
 * `identity` is what those who come that way bring along: a private link's uuid, or whatever stands
 * for a subnet. What cannot be understood admits nobody. */
#ifndef PORTOLAN_NETWORK_RULES_H
#define PORTOLAN_NETWORK_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"

struct json_object;
struct network_rules;

/* In a directory token that the service's own import carries, in the name of whoever ordered it: the
 * id of the registry that is read, for which alone the import is a trusted service. */
#define NETWORK_IMPORT_CLAIM "xms_import"

/* What an authenticated identity is, beyond its address. Never taken from a header. */
enum network_service { NETWORK_NO_SERVICE, NETWORK_TRUSTED, NETWORK_TASK, NETWORK_SERVICE_MAX };

struct network_origin {
    const struct sockaddr *address; /* NULL or of another family than IP: no rule fits it */
    const char *link; /* identity of the subnet or private link it came by; NULL: the public edge */
    enum network_service service;
};

/* What decided. */
enum network_reason {
    NETWORK_BY_DEFAULT, /* networkRuleSet.defaultAction */
    NETWORK_BY_IP_RULE,
    NETWORK_BY_SUBNET_RULE,
    NETWORK_BY_PRIVATE_LINK,
    NETWORK_BY_PUBLIC_ACCESS, /* publicNetworkAccess is Disabled */
    NETWORK_BY_BYPASS,        /* networkRuleBypassOptions, …AllowedForTasks */
    NETWORK_REASON_MAX
};

struct network_verdict {
    bool is_allowed;
    enum network_reason reason;
    const char *rule; /* the value of the IP rule, the id of the subnet or link; lives as long as
                         the rules; NULL when no single rule decided */
};

struct network_rules *network_rules_new(const struct json_object *settings);
void network_rules_free(struct network_rules *r); /* NULL is accepted */
void network_rules_freep(struct network_rules **r);

/* Private links first: approved ones get in, others never do. Then services; then
 * publicNetworkAccess; then subnet rules for what came by a link, IP rules for what did not; then
 * the default. Of nested IP rules the narrowest decides, of equal ones the first. */
struct network_verdict network_decide(const struct network_rules *r,
                                      const struct network_origin *origin);
/* True when the switches let a service through: imports are one, so there is one for every registry. */
bool network_has_bypass(const struct network_rules *r);
/* What a principal (uuid, lower case) is. */
enum network_service network_service_of(const struct network_rules *r, const char *principal);
/* "ipRule", "defaultAction" …: for answers and the log. */
const char *network_reason_name(enum network_reason reason);

#endif
