-- What follows from a row's coming, changing and going, behind one trigger each. The server makes an
-- expression of the text of every condition of every trigger, and of every CHECK, anew for each statement;
-- two dozen triggers cost more than the change itself. What most rows need is decided inside; only changes,
-- which most types have nothing to follow from, are asked about first.

-- Constraints as one constant each, which is read far faster than a list.
alter table resources drop constraint resources_state_check,
    add constraint resources_state_check
    check (state ~ '^(Creating|Updating|Deleting|Succeeded|Failed|Canceled)$');
alter table operations drop constraint operations_status_check,
    add constraint operations_status_check
    check (status ~ '^(Creating|Updating|Deleting|Running|Succeeded|Failed|Canceled)$');

drop trigger count_child_in on resources;
drop trigger count_child_out on resources;
drop trigger follow_connection_change on resources;
drop trigger follow_connection_out on resources;
drop trigger follow_endpoint_out on resources;
drop trigger follow_federated_credential_in on resources;
drop trigger follow_federated_credential_out on resources;
drop trigger follow_identity_in on resources;
drop trigger follow_identity_out on resources;
drop trigger follow_network_child_change on resources;
drop trigger follow_network_child_out on resources;
drop trigger follow_peering_change on resources;
drop trigger follow_peering_out on resources;
drop trigger follow_system_identity_change on resources;
drop trigger follow_system_identity_in on resources;
drop trigger follow_system_identity_out on resources;
drop trigger follow_zone_child_change on resources;
drop trigger follow_zone_child_out on resources;
drop trigger forget_diagnostics on resources;
drop trigger forget_scope on resources;
drop trigger keep_deleted_vault on resources;
drop trigger project_archive on resources;
drop trigger tell_network_change on resources;
drop trigger tell_network_out on resources;

drop function count_child, follow_connection, follow_endpoint, follow_federated_credential, follow_identity,
    follow_network_child, follow_peering, follow_system_identity, follow_zone_child, forget_diagnostics,
    forget_scope,
    keep_deleted_vault, project_archive;

-- Identities ----------------------------------------------------------------------------------------

-- An identity is a principal for as long as its resource has one. Its id is the resource's uid; its client id
-- follows from that, as user_assigned_identity.c shows it.
create function make_identity(r resources) returns void language sql as $$
    insert into principals (object_id, tenant_id, kind, app_id, display_name)
    select r.uid, s.tenant_id, 'ManagedIdentity',
        encode(substring(sha256(convert_to('client/' || r.uid, 'UTF8')) from 1 for 16), 'hex')::uuid, r.name
    from subscriptions s where s.id = r.subscription_id
    on conflict (object_id) do nothing;
$$;

-- What a system-assigned one was allowed goes with it, so that one switched on again starts with nothing.
create function drop_system_identity(resource uuid) returns void language sql as $$
    delete from role_assignments where principal_id = resource;
    delete from principals where object_id = resource;
$$;

-- Who may sign in as it.
create function put_federated_credential(r resources) returns void language sql as $$
    insert into federated_credentials (id, owner_id, name, issuer, subject, audiences)
    select r.uid, r.parent_uid, r.name, r.body #>> '{properties,issuer}', r.body #>> '{properties,subject}',
        array(select jsonb_array_elements_text(r.body #> '{properties,audiences}'))
    on conflict (id) do update
    set issuer = excluded.issuer, subject = excluded.subject, audiences = excluded.audiences;
$$;

-- Networks ------------------------------------------------------------------------------------------

-- The registry's side of a private endpoint's connection.
create function follow_connection(r resources, is_gone boolean) returns void language plpgsql as $$
declare
    told jsonb = r.body #> '{properties,privateLinkServiceConnectionState}';
begin
    if is_gone then
        update private_links set state = 'Disconnected', registry_uid = null,
            description = 'The registry''s side of the connection was removed.'
        where link = r.uid and state <> 'Disconnected';
    else
        update private_links set state = told ->> 'status',
            description = coalesce(told ->> 'description', ''),
            actions_required = coalesce(told ->> 'actionsRequired', 'None')
        where link = r.uid;
    end if;
    perform project_registry(r.parent_uid);
end
$$;

-- A peering is connected while there is one in the other direction.
create function follow_peering(mine resources, is_gone boolean) returns void language plpgsql as $$
declare
    network resources;
    back uuid;
begin
    select * into network from resources where uid = mine.parent_uid;
    select p.uid into back from resources p join resources n on n.uid = p.parent_uid
    where n.key = lower(mine.body #>> '{properties,remoteVirtualNetwork,id}')
    and p.type_key = mine.type_key and p.state <> 'Deleting'
    and lower(p.body #>> '{properties,remoteVirtualNetwork,id}') = network.key;
    if not is_gone then
        update resources set projected = jsonb_build_object('properties', jsonb_build_object(
            'peeringState', case when back is null then 'Initiated' else 'Connected' end))
        where uid = mine.uid;
    end if;
    update resources set projected = jsonb_build_object('properties', jsonb_build_object(
        'peeringState', case when is_gone then 'Disconnected' else 'Connected' end))
    where uid = back;
end
$$;

-- A resource of Microsoft.Network, or a connection to one, that came, changed or went; `has_new_body` is
-- always so for what came or went.
create function follow_network(r resources, is_gone boolean, has_new_body boolean) returns void
language plpgsql as $$
begin
    if r.type_key = 'microsoft.containerregistry/registries/privateendpointconnections' then
        perform follow_connection(r, is_gone or r.state = 'Deleting');
        return;
    end if;
    if r.type_key in ('microsoft.network/virtualnetworks/subnets',
                      'microsoft.network/virtualnetworks/virtualnetworkpeerings') then
        perform project_network(r.parent_uid);
    end if;
    if r.type_key = 'microsoft.network/virtualnetworks/virtualnetworkpeerings' and has_new_body then
        perform follow_peering(r, is_gone);
    end if;
    if r.type_key like 'microsoft.network/privatednszones/%' and has_new_body then
        perform project_zone(r.parent_uid);
    end if;
    perform pg_notify('portolan_network', '');
end
$$;

-- The triggers --------------------------------------------------------------------------------------

-- Children are counted where they come and go, whichever statement does it (decision 0020).
create function follow_insert() returns trigger language plpgsql as $$
begin
    if new.parent_uid is not null and not new.is_system then
        update usage_counters set used = used + 1
        where owner_uid = new.parent_uid and kind = new.type_key and slot = (
            select c.slot from usage_counters c
            where c.owner_uid = new.parent_uid and c.kind = new.type_key
            order by c.slot limit 1 for update skip locked);
        if not found then
            insert into usage_counters as c (owner_uid, kind, slot, used)
            values (new.parent_uid, new.type_key, pg_backend_pid(), 1)
            on conflict (owner_uid, kind, slot) do update set used = c.used + 1;
        end if;
    end if;
    if new.type_key like 'microsoft.network/%'
        or new.type_key = 'microsoft.containerregistry/registries/privateendpointconnections' then
        perform follow_network(new, false, true);
    elsif new.type_key = 'microsoft.containerregistry/registries/packages/archives' then
        update resources set projected = coalesce(archive_registry_label(new.parent_uid), '{}')
        where uid = new.uid;
    elsif new.type_key = 'microsoft.managedidentity/userassignedidentities/federatedidentitycredentials' then
        perform put_federated_credential(new);
    end if;
    if new.type_key = 'microsoft.managedidentity/userassignedidentities'
        or (new.body ? 'identity' and has_system_identity(new.body)) then
        perform make_identity(new);
    end if;
    return null;
end
$$;
create trigger follow_insert after insert on resources for each row execute function follow_insert();

create function follow_update() returns trigger language plpgsql as $$
begin
    if new.type_key = 'microsoft.network/privateendpoints' and new.state = 'Deleting'
        and old.state <> 'Deleting' then
        perform release_endpoint(new.uid);
    end if;
    if new.type_key like 'microsoft.network/%'
        or new.type_key = 'microsoft.containerregistry/registries/privateendpointconnections' then
        perform follow_network(new, false, new.body is distinct from old.body);
    elsif new.type_key = 'microsoft.managedidentity/userassignedidentities/federatedidentitycredentials' then
        perform put_federated_credential(new);
    end if;
    if new.body -> 'identity' is distinct from old.body -> 'identity' then
        if has_system_identity(new.body) then
            perform make_identity(new);
        else
            perform drop_system_identity(new.uid);
        end if;
    end if;
    return null;
end
$$;
create trigger follow_update after update of body, state on resources for each row
    when (new.type_key like 'microsoft.network/%'
          or new.type_key = 'microsoft.containerregistry/registries/privateendpointconnections'
          or new.type_key = 'microsoft.managedidentity/userassignedidentities/federatedidentitycredentials'
          or new.body -> 'identity' is distinct from old.body -> 'identity')
    execute function follow_update();

create function follow_projection() returns trigger language plpgsql as $$
begin
    perform project_network(new.parent_uid);
    return null;
end
$$;
create trigger follow_projection after update of projected on resources for each row
    when (new.type_key in ('microsoft.network/virtualnetworks/subnets',
                           'microsoft.network/virtualnetworks/virtualnetworkpeerings'))
    execute function follow_projection();

-- Whichever statement removes it: what stood at or below it goes along, so that a new one of the same name
-- starts with nobody's rights, and a vault can be recovered. '0' follows '/' in the order of bytes.
create function follow_delete() returns trigger language plpgsql as $$
begin
    if old.parent_uid is not null and not old.is_system then
        update usage_counters set used = used - 1
        where owner_uid = old.parent_uid and kind = old.type_key and slot = (
            select c.slot from usage_counters c
            where c.owner_uid = old.parent_uid and c.kind = old.type_key
            order by c.slot limit 1 for update skip locked);
        -- A parent that goes in the same statement takes its counters along.
        if not found then
            insert into usage_counters as c (owner_uid, kind, slot, used)
            select old.parent_uid, old.type_key, pg_backend_pid(), -1
            from resources where uid = old.parent_uid for key share
            on conflict (owner_uid, kind, slot) do update set used = c.used - 1;
        end if;
    end if;
    if old.type_key like 'microsoft.network/%'
        or old.type_key = 'microsoft.containerregistry/registries/privateendpointconnections' then
        perform follow_network(old, true, true);
    elsif old.type_key = 'microsoft.managedidentity/userassignedidentities/federatedidentitycredentials' then
        delete from federated_credentials where id = old.uid;
    end if;
    if old.body ? 'identity' then
        perform drop_system_identity(old.uid);
    elsif old.type_key = 'microsoft.managedidentity/userassignedidentities' then
        delete from principals where object_id = old.uid;
    end if;
    delete from diagnostic_settings where scope_key = old.key;
    delete from role_assignments where scope_key = old.key
        or (scope_key ~>=~ (old.key || '/') and scope_key ~<~ (old.key || '0'));
    delete from locks where scope_key = old.key
        or (scope_key ~>=~ (old.key || '/') and scope_key ~<~ (old.key || '0'));
    if old.type_key = 'microsoft.keyvault/vaults' then
        insert into deleted_vaults (uid, name, name_key, id, key, subscription_id, location, tags, body,
                                    is_protected, purge_at)
        values (old.uid, old.name, old.global_name, old.id, old.key, old.subscription_id, old.location,
                old.tags, old.body,
                coalesce((old.body #>> '{properties,enablePurgeProtection}')::boolean, false),
                now() + coalesce((old.body #>> '{properties,softDeleteRetentionInDays}')::int, 90)
                        * interval '1 day');
    end if;
    return null;
end
$$;
create trigger follow_delete after delete on resources for each row execute function follow_delete();
