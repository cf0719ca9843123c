-- Deployments of templates: what was asked for, how far it has got, and what came of it.

-- A row that is Accepted or Running is work, claimed by lease. `sealed` is what the run needs and
-- nobody may read (template, parameters, seed), wrapped with the service key and gone once the run is
-- over. `template` is the template as it may be shown again, wrapped as well. `shown` are the
-- properties a GET tells, without anything secret.
create table deployments (
    uid uuid primary key,
    key text not null unique,
    id text not null,
    name text not null,
    scope_key text not null,
    tenant_id uuid not null,
    subscription_id uuid references subscriptions,
    group_uid uuid references resources on delete cascade,
    parent_uid uuid references deployments on delete set null,
    operation_id uuid not null unique,
    correlation_id text not null,
    caller jsonb not null,
    location text,
    mode text not null check (mode in ('Incremental', 'Complete')),
    state text not null check (state in ('Accepted', 'Running', 'Succeeded', 'Failed', 'Canceled')),
    tags jsonb,
    shown jsonb not null,
    template text,
    sealed text,
    outputs jsonb,
    resources jsonb,
    error jsonb,
    accepted_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    ended_at timestamptz,
    lease_owner uuid,
    lease_until timestamptz
);
create index deployments_in_scope on deployments (scope_key, key);
create index deployments_in_group on deployments (group_uid);
create index deployments_by_parent on deployments (parent_uid);
create index deployments_due on deployments (accepted_at) where state in ('Accepted', 'Running');

-- One row per resource that a run touches. `awaits` is the operation, or the deployment, that the
-- resource is waiting for.
create table deployment_operations (
    uid uuid primary key,
    deployment_uid uuid not null references deployments on delete cascade,
    node_key text not null,
    position int not null,
    kind text not null,
    state text not null check (state in ('Running', 'Succeeded', 'Failed', 'Canceled')),
    target jsonb,
    status_code text,
    status_message jsonb,
    awaits uuid,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    unique (deployment_uid, node_key)
);

-- Answers that clients fetch after the request that asked for them (what-if).
create table deployment_answers (
    id uuid primary key,
    caller_id uuid not null,
    body jsonb not null,
    made_at timestamptz not null default now()
);
create index deployment_answers_by_age on deployment_answers (made_at);
