-- Who may do what: custom roles, locks, applications, groups and members, credentials beyond secrets,
-- and what signing in leaves behind for a while.

create table role_definitions (
    id uuid primary key,
    tenant_id uuid not null references tenants,
    name text not null,
    description text not null default '',
    actions text[] not null default '{}',
    not_actions text[] not null default '{}',
    data_actions text[] not null default '{}',
    not_data_actions text[] not null default '{}',
    assignable_scopes text[] not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    created_by text not null,
    updated_by text not null
);
create unique index role_definitions_name on role_definitions (tenant_id, lower(name));

-- scope_key as in role_assignments.
create table locks (
    scope_key text not null,
    name_key text not null,
    scope text not null,
    name text not null,
    tenant_id uuid not null references tenants,
    level text not null check (level in ('CanNotDelete', 'ReadOnly')),
    notes text,
    primary key (scope_key, name_key)
);

-- What stands at or below a resource goes with it: a new one of the same name starts with nobody's
-- rights. '0' follows '/' in the order of bytes.
create index role_assignments_by_scope on role_assignments (scope_key text_pattern_ops);
create index locks_by_scope on locks (scope_key text_pattern_ops);

create function forget_scope() returns trigger language plpgsql as $$
begin
    delete from role_assignments where scope_key = old.key
        or (scope_key ~>=~ (old.key || '/') and scope_key ~<~ (old.key || '0'));
    delete from locks where scope_key = old.key
        or (scope_key ~>=~ (old.key || '/') and scope_key ~<~ (old.key || '0'));
    return null;
end
$$;
create trigger forget_scope after delete on resources for each row execute function forget_scope();

-- Users sign in by their principal name; service principals by the application's id.
alter table principals add column upn text;
alter table principals add column password_hash text;
alter table principals add column description text;
create unique index principals_upn on principals (lower(upn)) where upn is not null;
create index principals_by_name on principals (tenant_id, lower(display_name));

create table applications (
    object_id uuid primary key,
    tenant_id uuid not null references tenants,
    app_id uuid not null unique,
    display_name text not null,
    identifier_uris text[] not null default '{}',
    redirect_uris text[] not null default '{}',
    created_at timestamptz not null default now()
);
insert into applications (object_id, tenant_id, app_id, display_name)
select gen_random_uuid(), tenant_id, app_id, display_name from principals
where kind = 'ServicePrincipal' and app_id is not null;

create table group_members (
    group_id uuid not null references principals on delete cascade,
    member_id uuid not null references principals on delete cascade,
    primary key (group_id, member_id),
    check (group_id <> member_id)
);
create index group_members_by_member on group_members (member_id);

-- Credentials belong to a service principal or to an application.
alter table principal_secrets drop constraint principal_secrets_principal_id_fkey;
alter table principal_secrets add column display_name text;
create table certificates (
    id uuid primary key,
    owner_id uuid not null,
    thumbprint text not null,
    thumbprint_sha256 text not null,
    public_pem text not null,
    display_name text,
    starts_at timestamptz not null,
    expires_at timestamptz not null
);
create index certificates_by_owner on certificates (owner_id);
create table federated_credentials (
    id uuid primary key,
    owner_id uuid not null,
    name text not null,
    issuer text not null,
    subject text not null,
    audiences text[] not null,
    description text,
    unique (owner_id, name)
);

create function forget_credentials() returns trigger language plpgsql as $$
begin
    delete from principal_secrets where principal_id = old.object_id;
    delete from certificates where owner_id = old.object_id;
    delete from federated_credentials where owner_id = old.object_id;
    return null;
end
$$;
create trigger forget_credentials after delete on principals for each row
    execute function forget_credentials();
create trigger forget_credentials after delete on applications for each row
    execute function forget_credentials();

-- A user-assigned identity is a principal for as long as its resource is there, whichever statement
-- ends it. The client id follows from the resource's uid, as user_assigned_identity.c shows it.
create function follow_identity() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into principals (object_id, tenant_id, kind, app_id, display_name)
        select new.uid, s.tenant_id, 'ManagedIdentity',
            encode(substring(sha256(convert_to('client/' || new.uid, 'UTF8')) from 1 for 16),
                   'hex')::uuid, new.name
        from subscriptions s where s.id = new.subscription_id;
    else
        delete from principals where object_id = old.uid;
    end if;
    return null;
end
$$;
create trigger follow_identity_in after insert on resources for each row
    when (new.type_key = 'microsoft.managedidentity/userassignedidentities')
    execute function follow_identity();
create trigger follow_identity_out after delete on resources for each row
    when (old.type_key = 'microsoft.managedidentity/userassignedidentities')
    execute function follow_identity();

-- Grants of tokens that are under way. What a client holds is stored as its SHA-256.
create table login_grants (
    hash text primary key,
    kind text not null check (kind in ('code', 'device', 'refresh')),
    client_id uuid not null,
    tenant_id uuid not null references tenants,
    principal_id uuid references principals on delete cascade,
    user_code text unique,
    audience text not null,
    redirect_uri text,
    challenge text,
    nonce text,
    state text not null default 'pending' check (state in ('pending', 'granted', 'denied', 'used')),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index login_grants_by_end on login_grants (expires_at);
create index login_grants_by_principal on login_grants (principal_id);
