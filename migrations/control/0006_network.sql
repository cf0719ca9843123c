-- Virtual networks, private endpoints, private DNS zones. The resources are rows of `resources` like
-- any other; here is what has to be unique or goes across them.

-- Members of a resource that follow from other rows. Kept by the functions below, in the transaction
-- that changes those other rows, and laid over body and status when the resource is read.
alter table resources add column projected jsonb not null default '{}';

-- Facts -------------------------------------------------------------------------------------------

-- The connection of a private endpoint to a registry. `link` is its identity wherever one is told
-- from another (listeners, network rules): the uid of the registry's privateEndpointConnections row,
-- as long as there is one. registry_uid is null once the registry's side is gone.
create table private_links (
    link uuid primary key,
    endpoint_uid uuid not null unique references resources on delete cascade,
    registry_uid uuid references resources on delete set null,
    state text not null check (state in ('Pending', 'Approved', 'Rejected', 'Disconnected')),
    description text not null default '',
    actions_required text not null default 'None'
);
create index private_links_by_registry on private_links (registry_uid);

-- Addresses of subnets that are taken. The key is what makes an address one endpoint's alone.
create table network_addresses (
    subnet_uid uuid not null references resources on delete cascade,
    address inet not null check (masklen(address) = 32),
    endpoint_uid uuid not null references resources on delete cascade,
    member text not null,
    fqdn text not null,
    record text not null, -- the name in a private DNS zone
    name text not null,   -- of the IP configuration
    is_static boolean not null,
    constraint network_addresses_key primary key (subnet_uid, address),
    constraint network_addresses_member unique (endpoint_uid, member)
);

-- Projections -------------------------------------------------------------------------------------

create function project_endpoint(endpoint uuid) returns void language plpgsql as $$
declare
    link private_links;
    dns jsonb;
begin
    select * into link from private_links where endpoint_uid = endpoint;
    select coalesce(jsonb_agg(jsonb_build_object('fqdn', fqdn,
            'ipAddresses', jsonb_build_array(host(address))) order by member), '[]')
    into dns from network_addresses where endpoint_uid = endpoint;
    update resources set projected = jsonb_build_object('properties', jsonb_build_object(
        'customDnsConfigs', dns,
        'networkInterfaces', (select coalesce(jsonb_agg(jsonb_build_object('id', id)), '[]')
            from resources where parent_uid = endpoint
            and type_key = 'microsoft.network/networkinterfaces'),
        'connectionState', jsonb_build_object('status', link.state,
            'description', link.description, 'actionsRequired', link.actions_required)))
    where uid = endpoint;
    update resources set projected = jsonb_build_object('properties', jsonb_build_object(
        'recordSets', (select coalesce(jsonb_agg(jsonb_build_object('recordType', 'A',
            'recordSetName', record, 'ttl', 10, 'provisioningState', 'Succeeded',
            'ipAddresses', jsonb_build_array(host(address))) order by record), '[]')
            from network_addresses where endpoint_uid = endpoint)))
    where parent_uid = endpoint
    and type_key = 'microsoft.network/privateendpoints/privatednszonegroups';
    update resources n set projected = jsonb_build_object('properties', jsonb_build_object(
        'privateEndpoint', jsonb_build_object('id', e.id),
        'ipConfigurations', (select coalesce(jsonb_agg(jsonb_build_object(
            'name', a.name,
            'id', n.id || '/ipConfigurations/' || a.name,
            'type', 'Microsoft.Network/networkInterfaces/ipConfigurations',
            'properties', jsonb_build_object(
                'provisioningState', 'Succeeded',
                'privateIPAddress', host(a.address),
                'privateIPAllocationMethod', case when a.is_static then 'Static' else 'Dynamic' end,
                'privateIPAddressVersion', 'IPv4',
                'primary', a.member = 'registry',
                'subnet', jsonb_build_object('id', s.id),
                'privateLinkConnectionProperties', jsonb_build_object(
                    'groupId', 'registry',
                    'requiredMemberName', a.member,
                    'fqdns', jsonb_build_array(a.fqdn)))) order by a.member desc), '[]')
            from network_addresses a join resources s on s.uid = a.subnet_uid
            where a.endpoint_uid = endpoint)))
    from resources e
    where e.uid = endpoint and n.parent_uid = endpoint
    and n.type_key = 'microsoft.network/networkinterfaces';
end
$$;

create function project_subnet(subnet uuid) returns void language plpgsql as $$
declare
    shown jsonb;
begin
    select jsonb_build_object('properties', jsonb_build_object(
        'privateEndpoints', jsonb_agg(distinct jsonb_build_object('id', e.id)),
        'ipConfigurations', jsonb_agg(jsonb_build_object('id',
            n.id || '/ipConfigurations/' || a.name) order by a.address)))
    into shown
    from network_addresses a join resources e on e.uid = a.endpoint_uid
    left join resources n on n.parent_uid = e.uid
        and n.type_key = 'microsoft.network/networkinterfaces'
    where a.subnet_uid = subnet having count(*) > 0;
    update resources set projected = coalesce(shown, '{}') where uid = subnet;
end
$$;

create function children_of(parent uuid, kind text) returns jsonb language sql stable as $$
    select coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'properties',
        coalesce(body -> 'properties', '{}') || coalesce(projected -> 'properties', '{}')
        || jsonb_build_object('provisioningState', state)) order by created_at, key), '[]')
    from resources where parent_uid = parent and type_key = kind and state <> 'Deleting';
$$;

create function project_network(network uuid) returns void language sql as $$
    update resources set projected = jsonb_build_object('properties', jsonb_build_object(
        'subnets', children_of(network, 'microsoft.network/virtualnetworks/subnets'),
        'virtualNetworkPeerings',
            children_of(network, 'microsoft.network/virtualnetworks/virtualnetworkpeerings')))
    where uid = network and state <> 'Deleting';
$$;

-- A registry is published anew when its links change.
create function project_registry(registry uuid) returns void language plpgsql as $$
begin
    update resources set projected = jsonb_build_object('properties', jsonb_build_object(
            'privateEndpointConnections', children_of(registry,
                'microsoft.containerregistry/registries/privateendpointconnections'))),
        generation = generation + 1, not_before = now(), attempts = 0, step = null,
        updated_at = now()
    where uid = registry and state <> 'Deleting';
    perform pg_notify('portolan_work', '');
end
$$;

create function project_zone(zone uuid) returns void language sql as $$
    update resources set projected = (select jsonb_build_object('properties', jsonb_build_object(
        'numberOfRecordSets',
            count(*) filter (where type_key not like '%/virtualnetworklinks'),
        'numberOfVirtualNetworkLinks',
            count(*) filter (where type_key like '%/virtualnetworklinks'),
        'numberOfVirtualNetworkLinksWithRegistration',
            count(*) filter (where type_key like '%/virtualnetworklinks'
                and (body #>> '{properties,registrationEnabled}')::boolean)))
        from resources where parent_uid = zone)
    where uid = zone and state <> 'Deleting';
$$;

-- The A records that zone groups ask for: the service's own rows, one for each name, with the
-- addresses of every endpoint that has it. A record set somebody made by hand stays what it is.
create function wanted_records(zone uuid)
returns table (record text, addresses jsonb, creator text) language sql stable as $$
    select n.record, jsonb_agg(distinct jsonb_build_object('ipv4Address', host(n.address))),
        string_agg(distinct e.name, ', ')
    from resource_links l
    join resources g on g.uid = l.from_uid and g.state <> 'Deleting'
        and g.type_key = 'microsoft.network/privateendpoints/privatednszonegroups'
    join resources e on e.uid = g.parent_uid
    join network_addresses n on n.endpoint_uid = e.uid
    where l.to_uid = zone group by n.record;
$$;

create function project_records(zone uuid) returns void language plpgsql as $$
declare
    z resources;
begin
    select * into z from resources
    where uid = zone and type_key = 'microsoft.network/privatednszones' for update;
    if not found then
        return;
    end if;
    delete from resources r where r.parent_uid = zone and r.is_system
        and r.type_key = 'microsoft.network/privatednszones/a'
        and not exists (select 1 from wanted_records(zone) w where lower(w.record) = lower(r.name));
    insert into resources as r (uid, key, id, type_key, name, subscription_id, group_key,
        parent_uid, body, state, observed_generation, is_system)
    select gen_random_uuid(), lower(z.id || '/A/' || w.record), z.id || '/A/' || w.record,
        'microsoft.network/privatednszones/a', w.record, z.subscription_id, z.group_key, z.uid,
        jsonb_build_object('properties', jsonb_build_object('ttl', 10, 'aRecords', w.addresses,
            'metadata', jsonb_build_object('creator', 'created by private endpoint ' || w.creator))),
        'Succeeded', 1, true
    from wanted_records(zone) w
    on conflict (key) do update set body = excluded.body, updated_at = now()
    where r.is_system and r.body is distinct from excluded.body;
end
$$;

-- What an endpoint holds goes at once, also while the rest of it waits to be removed.
create function release_endpoint(endpoint uuid) returns void language plpgsql as $$
begin
    delete from private_links where endpoint_uid = endpoint;
    delete from network_addresses where endpoint_uid = endpoint;
end
$$;

-- Triggers ----------------------------------------------------------------------------------------

create function follow_connection() returns trigger language plpgsql as $$
declare
    told jsonb;
begin
    if tg_op = 'DELETE' or new.state = 'Deleting' then
        update private_links set state = 'Disconnected', registry_uid = null,
            description = 'The registry''s side of the connection was removed.'
        where link = old.uid and state <> 'Disconnected';
        perform project_registry(old.parent_uid);
        return null;
    end if;
    told = new.body #> '{properties,privateLinkServiceConnectionState}';
    update private_links set state = told ->> 'status',
        description = coalesce(told ->> 'description', ''),
        actions_required = coalesce(told ->> 'actionsRequired', 'None')
    where link = new.uid;
    perform project_registry(new.parent_uid);
    return null;
end
$$;
create trigger follow_connection_change after insert or update of body, state on resources
    for each row
    when (new.type_key = 'microsoft.containerregistry/registries/privateendpointconnections')
    execute function follow_connection();
create trigger follow_connection_out after delete on resources for each row
    when (old.type_key = 'microsoft.containerregistry/registries/privateendpointconnections')
    execute function follow_connection();

create function follow_endpoint() returns trigger language plpgsql as $$
begin
    perform release_endpoint(new.uid);
    return null;
end
$$;
create trigger follow_endpoint_out after update of state on resources for each row
    when (new.type_key = 'microsoft.network/privateendpoints' and new.state = 'Deleting'
          and old.state <> 'Deleting')
    execute function follow_endpoint();

create function follow_link() returns trigger language plpgsql as $$
begin
    perform project_endpoint(new.endpoint_uid);
    return null;
end
$$;
create trigger follow_link after insert or update on private_links for each row
    execute function follow_link();

-- However an endpoint goes, the registry's side of its connection goes with it.
create function follow_link_out() returns trigger language plpgsql as $$
begin
    delete from resources where uid = old.link;
    return null;
end
$$;
create trigger follow_link_out after delete on private_links for each row
    execute function follow_link_out();

create function follow_address() returns trigger language plpgsql as $$
declare
    taken network_addresses;
    zone uuid;
begin
    taken = case when tg_op = 'DELETE' then old else new end;
    perform project_endpoint(taken.endpoint_uid);
    perform project_subnet(taken.subnet_uid);
    for zone in select l.to_uid from resource_links l join resources g on g.uid = l.from_uid
        where g.parent_uid = taken.endpoint_uid order by 1 loop
        perform project_records(zone);
    end loop;
    return null;
end
$$;
create trigger follow_address after insert or update or delete on network_addresses for each row
    execute function follow_address();

create function follow_zone_link() returns trigger language plpgsql as $$
begin
    perform project_records(case when tg_op = 'DELETE' then old.to_uid else new.to_uid end);
    return null;
end
$$;
create trigger follow_zone_link after insert or delete on resource_links for each row
    execute function follow_zone_link();

create function follow_network_child() returns trigger language plpgsql as $$
begin
    perform project_network(case when tg_op = 'DELETE' then old.parent_uid else new.parent_uid end);
    return null;
end
$$;
create trigger follow_network_child_change
    after insert or update of body, state, projected on resources for each row
    when (new.type_key in ('microsoft.network/virtualnetworks/subnets',
                           'microsoft.network/virtualnetworks/virtualnetworkpeerings'))
    execute function follow_network_child();
create trigger follow_network_child_out after delete on resources for each row
    when (old.type_key in ('microsoft.network/virtualnetworks/subnets',
                           'microsoft.network/virtualnetworks/virtualnetworkpeerings'))
    execute function follow_network_child();

-- A peering is connected while there is one in the other direction.
create function follow_peering() returns trigger language plpgsql as $$
declare
    mine resources;
    network resources;
    back uuid;
begin
    mine = case when tg_op = 'DELETE' then old else new end;
    select * into network from resources where uid = mine.parent_uid;
    select p.uid into back from resources p join resources n on n.uid = p.parent_uid
    where n.key = lower(mine.body #>> '{properties,remoteVirtualNetwork,id}')
    and p.type_key = mine.type_key and p.state <> 'Deleting'
    and lower(p.body #>> '{properties,remoteVirtualNetwork,id}') = network.key;
    if tg_op <> 'DELETE' then
        update resources set projected = jsonb_build_object('properties', jsonb_build_object(
            'peeringState', case when back is null then 'Initiated' else 'Connected' end))
        where uid = mine.uid;
    end if;
    update resources set projected = jsonb_build_object('properties', jsonb_build_object(
        'peeringState', case when tg_op = 'DELETE' then 'Disconnected' else 'Connected' end))
    where uid = back;
    return null;
end
$$;
create trigger follow_peering_change after insert or update of body on resources for each row
    when (new.type_key = 'microsoft.network/virtualnetworks/virtualnetworkpeerings')
    execute function follow_peering();
create trigger follow_peering_out after delete on resources for each row
    when (old.type_key = 'microsoft.network/virtualnetworks/virtualnetworkpeerings')
    execute function follow_peering();

create function follow_zone_child() returns trigger language plpgsql as $$
begin
    perform project_zone(case when tg_op = 'DELETE' then old.parent_uid else new.parent_uid end);
    return null;
end
$$;
create trigger follow_zone_child_change after insert or update of body on resources for each row
    when (new.type_key like 'microsoft.network/privatednszones/%')
    execute function follow_zone_child();
create trigger follow_zone_child_out after delete on resources for each row
    when (old.type_key like 'microsoft.network/privatednszones/%')
    execute function follow_zone_child();

-- Whoever makes networks act hears that something changed; one notification a transaction.
create function tell_network() returns trigger language plpgsql as $$
begin
    perform pg_notify('portolan_network', '');
    return null;
end
$$;
create trigger tell_network after insert or update or delete on private_links
    for each statement execute function tell_network();
create trigger tell_network after insert or update or delete on network_addresses
    for each statement execute function tell_network();
create trigger tell_network_change after insert or update of body, state on resources for each row
    when (new.type_key like 'microsoft.network/%') execute function tell_network();
create trigger tell_network_out after delete on resources for each row
    when (old.type_key like 'microsoft.network/%') execute function tell_network();

-- What networks are made of, as it is to be ---------------------------------------------------------

create view network_endpoints as
select l.link::text as link, l.state, e.uid as endpoint_uid, e.key as endpoint_key,
    l.registry_uid, r.key as registry_key, s.key as subnet_key, n.key as network_key, a.address,
    a.member,
    case when a.member = 'registry' then r.location
         else substr(a.member, length('registry_data_') + 1) end as region,
    a.fqdn
from network_addresses a
join private_links l on l.endpoint_uid = a.endpoint_uid
join resources e on e.uid = a.endpoint_uid and e.state <> 'Deleting'
join resources s on s.uid = a.subnet_uid
join resources n on n.uid = s.parent_uid
left join resources r on r.uid = l.registry_uid and r.state <> 'Deleting';

create view network_subnets as
select s.uid as subnet_uid, s.key as subnet_key, n.uid as network_uid, n.key as network_key,
    n.location, p.prefix::cidr as prefix,
    jsonb_path_exists(s.body, '$.properties.serviceEndpoints[*].service
        ? (@ like_regex "^Microsoft\\.ContainerRegistry$" flag "i")') as has_registry_endpoint
from resources s
join resources n on n.uid = s.parent_uid and n.state <> 'Deleting'
cross join lateral (
    select s.body #>> '{properties,addressPrefix}' as prefix
    where s.body #> '{properties,addressPrefixes}' is null
    union all
    select jsonb_array_elements_text(s.body #> '{properties,addressPrefixes}')) p
where s.type_key = 'microsoft.network/virtualnetworks/subnets' and s.state <> 'Deleting'
and p.prefix is not null;

create view network_peerings as
select n.key as network_key,
    lower(p.body #>> '{properties,remoteVirtualNetwork,id}') as remote_key,
    p.projected #>> '{properties,peeringState}' = 'Connected'
        and coalesce((p.body #>> '{properties,allowVirtualNetworkAccess}')::boolean, true)
        as is_connected
from resources p
join resources n on n.uid = p.parent_uid and n.state <> 'Deleting'
where p.type_key = 'microsoft.network/virtualnetworks/virtualnetworkpeerings'
and p.state <> 'Deleting';

create view dns_zones as
select uid as zone_uid, key as zone_key, lower(name) as name from resources
where type_key = 'microsoft.network/privatednszones' and state <> 'Deleting';

create view dns_zone_networks as
select z.zone_uid, z.name, n.uid as network_uid, n.key as network_key,
    coalesce((l.body #>> '{properties,registrationEnabled}')::boolean, false) as is_registering
from dns_zones z
join resources l on l.parent_uid = z.zone_uid and l.state <> 'Deleting'
    and l.type_key = 'microsoft.network/privatednszones/virtualnetworklinks'
join resources n on n.key = lower(l.body #>> '{properties,virtualNetwork,id}')
    and n.state <> 'Deleting';

create view dns_records as
select z.zone_uid, z.name as zone, lower(r.name) as name,
    upper(substr(r.type_key, length('microsoft.network/privatednszones/') + 1)) as type,
    coalesce((r.body #>> '{properties,ttl}')::int, 3600) as ttl, r.body -> 'properties' as data
from dns_zones z
join resources r on r.parent_uid = z.zone_uid and r.state <> 'Deleting'
    and r.type_key like 'microsoft.network/privatednszones/%'
    and r.type_key <> 'microsoft.network/privatednszones/virtualnetworklinks';
