-- Around every resource: tags of subscriptions and names agreed on for tags, diagnostic settings, and
-- identities that live and die with a resource.

alter table subscriptions add column tags jsonb not null default '{}';

-- Names and values somebody set up before any resource has them; value_key '' is the name itself.
create table tag_names (
    subscription_id uuid not null references subscriptions,
    name_key text not null,
    value_key text not null,
    name text not null,
    value text not null,
    primary key (subscription_id, name_key, value_key)
);

create table diagnostic_settings (
    scope_key text not null,
    name_key text not null,
    scope text not null,
    name text not null,
    tenant_id uuid not null references tenants,
    properties jsonb not null,
    primary key (scope_key, name_key)
);

create function forget_diagnostics() returns trigger language plpgsql as $$
begin
    delete from diagnostic_settings where scope_key = old.key;
    return null;
end
$$;
create trigger forget_diagnostics after delete on resources for each row
    execute function forget_diagnostics();

-- A system-assigned identity is a principal for as long as its resource has one. Its id is the
-- resource's uid, its client id follows from that as for user-assigned ones. What it was allowed goes
-- with it, so that an identity switched on again starts with nothing.
create function has_system_identity(body jsonb) returns boolean language sql immutable as $$
    select coalesce(body #>> '{identity,type}' ilike '%SystemAssigned%', false)
$$;

create function follow_system_identity() returns trigger language plpgsql as $$
begin
    if tg_op <> 'DELETE' and has_system_identity(new.body) then
        insert into principals (object_id, tenant_id, kind, app_id, display_name)
        select new.uid, s.tenant_id, 'ManagedIdentity',
            encode(substring(sha256(convert_to('client/' || new.uid, 'UTF8')) from 1 for 16),
                   'hex')::uuid, new.name
        from subscriptions s where s.id = new.subscription_id
        on conflict (object_id) do nothing;
    elsif tg_op <> 'INSERT' then
        delete from role_assignments where principal_id = old.uid;
        delete from principals where object_id = old.uid;
    end if;
    return null;
end
$$;
create trigger follow_system_identity_in after insert on resources for each row
    when (has_system_identity(new.body)) execute function follow_system_identity();
create trigger follow_system_identity_change after update of body on resources for each row
    when (has_system_identity(new.body) <> has_system_identity(old.body))
    execute function follow_system_identity();
create trigger follow_system_identity_out after delete on resources for each row
    when (has_system_identity(old.body)) execute function follow_system_identity();

insert into principals (object_id, tenant_id, kind, app_id, display_name)
select r.uid, s.tenant_id, 'ManagedIdentity',
    encode(substring(sha256(convert_to('client/' || r.uid, 'UTF8')) from 1 for 16), 'hex')::uuid,
    r.name
from resources r join subscriptions s on s.id = r.subscription_id
where has_system_identity(r.body) on conflict do nothing;
