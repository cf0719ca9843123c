-- Which registries name which subnets in their virtual network rules, so that a change of a subnet, or of the
-- network it is in, finds them without reading every registry. By key and not by row: rules may name what is
-- gone, and made again.
create table rule_subnets (
    subnet_key text collate "C" not null,
    registry_uid uuid not null references resources on delete cascade,
    primary key (subnet_key, registry_uid)
);
create index rule_subnets_by_registry on rule_subnets (registry_uid);

insert into rule_subnets (subnet_key, registry_uid)
select distinct lower(coalesce(v ->> 'virtualNetworkSubnetResourceId', v ->> 'id')), r.uid
from resources r cross join lateral jsonb_array_elements(
    coalesce(r.body #> '{properties,networkRuleSet,virtualNetworkRules}', '[]')) v
where r.type_key = 'microsoft.containerregistry/registries'
and coalesce(v ->> 'virtualNetworkSubnetResourceId', v ->> 'id') is not null;
