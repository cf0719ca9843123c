-- Key vaults: what they hold, and what is left of a deleted one until it is purged.

-- vault_uid is the uid of the vault's resource, or of its row in deleted_vaults: an object is there as
-- long as either is. Names are unique without case, and stay taken while a deleted object can be
-- recovered.
create table vault_objects (
    uid uuid primary key,
    vault_uid uuid not null,
    kind text not null check (kind in ('key', 'secret')),
    name text not null,
    name_key text not null,
    deleted_at timestamptz,
    purge_at timestamptz,
    check ((deleted_at is null) = (purge_at is null)),
    unique (vault_uid, kind, name_key)
);
create index vault_objects_by_purge on vault_objects (purge_at) where purge_at is not null;

-- `wrapped` is the secret's value or the key's private half, under the service key. The newest version
-- is the one with the highest position.
create table vault_versions (
    uid uuid primary key,
    object_uid uuid not null references vault_objects on delete cascade,
    position bigint generated always as identity,
    wrapped text not null,
    shown jsonb not null,
    tags jsonb not null,
    is_enabled boolean not null,
    not_before timestamptz,
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index vault_versions_by_object on vault_versions (object_uid, position desc);

create table deleted_vaults (
    uid uuid primary key,
    name text not null,
    name_key text not null unique,
    id text not null,
    key text not null,
    subscription_id uuid not null references subscriptions,
    location text not null,
    tags jsonb not null,
    body jsonb not null,
    is_protected boolean not null,
    deleted_at timestamptz not null default now(),
    purge_at timestamptz not null
);
create index deleted_vaults_by_purge on deleted_vaults (purge_at);

-- Whichever statement removes a vault's resource, the vault can be recovered.
create function keep_deleted_vault() returns trigger language plpgsql as $$
begin
    insert into deleted_vaults (uid, name, name_key, id, key, subscription_id, location, tags, body,
                                is_protected, purge_at)
    values (old.uid, old.name, old.global_name, old.id, old.key, old.subscription_id, old.location,
            old.tags, old.body,
            coalesce((old.body #>> '{properties,enablePurgeProtection}')::boolean, false),
            now() + coalesce((old.body #>> '{properties,softDeleteRetentionInDays}')::int, 90)
                    * interval '1 day');
    return null;
end
$$;
create trigger keep_deleted_vault after delete on resources for each row
    when (old.type_key = 'microsoft.keyvault/vaults') execute function keep_deleted_vault();

create function forget_vault() returns trigger language plpgsql as $$
begin
    delete from vault_objects where vault_uid = old.uid;
    return null;
end
$$;
create trigger forget_vault after delete on deleted_vaults for each row
    execute function forget_vault();
