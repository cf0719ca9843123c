-- The control database: who there is, what is wanted, what is under way.

create table tenants (
    id uuid primary key,
    display_name text not null,
    default_domain text not null,
    created_at timestamptz not null default now()
);

create table subscriptions (
    id uuid primary key,
    tenant_id uuid not null references tenants,
    display_name text not null,
    state text not null default 'Enabled' check (state in ('Enabled', 'Disabled')),
    created_at timestamptz not null default now()
);

-- Where data planes can run. metadata_url and blobs_url are this installation's, not the client's.
create table regions (
    name text primary key check (name ~ '^[a-z0-9]{2,40}$'),
    display_name text not null,
    metadata_url text not null,
    blobs_url text not null,
    position int not null
);

-- Directory ---------------------------------------------------------------------------------------

create table principals (
    object_id uuid primary key,
    tenant_id uuid not null references tenants,
    kind text not null check (kind in ('User', 'Group', 'ServicePrincipal', 'ManagedIdentity')),
    app_id uuid unique,
    display_name text not null,
    is_enabled boolean not null default true,
    created_at timestamptz not null default now()
);

create table principal_secrets (
    id uuid primary key,
    principal_id uuid not null references principals on delete cascade,
    hash text not null,
    hint text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz
);
create index principal_secrets_by_principal on principal_secrets (principal_id);

-- Keys that sign directory tokens. A key signs until signs_until and verifies until verifies_until.
create table signing_keys (
    kid text primary key,
    wrapped_private text not null,
    public_pem text not null,
    created_at timestamptz not null default now(),
    signs_until timestamptz not null,
    verifies_until timestamptz not null
);

-- scope_key is the scope in lower case without a trailing slash; '' is the tenant root.
create table role_assignments (
    id uuid not null,
    scope text not null,
    scope_key text not null,
    tenant_id uuid not null references tenants,
    role_definition_id uuid not null,
    principal_id uuid not null,
    principal_type text not null,
    condition text,
    condition_version text,
    description text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    created_by text not null,
    updated_by text not null,
    primary key (scope_key, id),
    unique (scope_key, principal_id, role_definition_id)
);
create index role_assignments_by_principal on role_assignments (principal_id);

-- Resources ---------------------------------------------------------------------------------------

create table provider_registrations (
    subscription_id uuid not null references subscriptions,
    namespace_key text not null,
    state text not null check (state in ('Registering', 'Registered', 'Unregistering',
                                         'NotRegistered')),
    primary key (subscription_id, namespace_key)
);

-- Every resource of every type, resource groups included. `key` is the id in lower case; `body` the
-- desired state as the type's table describes it (sku, identity, properties …); `status` read-only
-- members that reconciling found out, laid over the body when it is read. A row whose generation is
-- ahead of observed_generation, or whose state is not final, is work; leases say whose.
create table resources (
    uid uuid primary key,
    key text not null unique,
    id text not null,
    type_key text not null,
    name text not null,
    subscription_id uuid not null references subscriptions,
    group_key text,
    parent_uid uuid references resources,
    location text,
    global_name text,
    tags jsonb not null default '{}',
    body jsonb not null default '{}',
    status jsonb not null default '{}',
    system_data jsonb not null default '{}',
    state text not null check (state in ('Creating', 'Updating', 'Deleting', 'Succeeded', 'Failed',
                                         'Canceled')),
    generation bigint not null default 1,
    observed_generation bigint not null default 0,
    step text,
    attempts int not null default 0,
    last_error jsonb,
    lease_owner uuid,
    lease_until timestamptz,
    not_before timestamptz not null default now(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index resources_global_name on resources (type_key, global_name)
    where global_name is not null;
create index resources_in_group on resources (subscription_id, group_key, type_key, key);
create index resources_by_type on resources (subscription_id, type_key, key);
create index resources_by_parent on resources (parent_uid, type_key);
create index resources_due on resources (not_before);

-- Secrets that belong to a resource and are needed again, wrapped with the service key.
create table resource_secrets (
    resource_uid uuid not null references resources on delete cascade,
    name text not null,
    wrapped text not null,
    created_at timestamptz not null default now(),
    primary key (resource_uid, name)
);

-- Exact usage under concurrency: one row per owner and kind, changed in the transaction that changes
-- what is counted.
create table usage_counters (
    owner_uid uuid not null references resources on delete cascade,
    kind text not null,
    used bigint not null default 0 check (used >= 0),
    primary key (owner_uid, kind)
);

-- Long-running operations. They outlive their resource, so resource_uid has no reference.
create table operations (
    id uuid primary key,
    tenant_id uuid not null,
    subscription_id uuid not null,
    resource_uid uuid not null,
    resource_id text not null,
    resource_key text not null,
    type_key text not null,
    location text,
    verb text not null,
    generation bigint not null,
    status text not null check (status in ('Creating', 'Updating', 'Deleting', 'Running',
                                           'Succeeded', 'Failed', 'Canceled')),
    result jsonb,
    error jsonb,
    caller_id uuid,
    correlation_id uuid,
    started_at timestamptz not null default now(),
    ended_at timestamptz
);
create index operations_open on operations (resource_uid) where ended_at is null;
create index operations_by_end on operations (ended_at) where ended_at is not null;

-- Activity log.
create table events (
    id uuid primary key,
    at timestamptz not null default now(),
    tenant_id uuid not null,
    subscription_id uuid,
    group_key text,
    resource_id text not null,
    resource_key text not null,
    operation_name text not null,
    status text not null,
    caller_id uuid,
    caller_name text,
    client_address text,
    correlation_id uuid,
    operation_id uuid,
    details jsonb not null default '{}'
);
create index events_by_age on events (at);
create index events_by_time on events (subscription_id, at desc);
create index events_by_resource on events (resource_key, at desc);

-- Where each registry's data planes run. The port is fixed for the life of the placement, so that a
-- restarted data plane needs neither the control plane nor the edge to be told.
create table placements (
    registry_uid uuid not null references resources,
    region text not null references regions,
    address text not null,
    port int not null check (port between 1 and 65535),
    created_at timestamptz not null default now(),
    primary key (registry_uid, region),
    unique (address, port)
);
