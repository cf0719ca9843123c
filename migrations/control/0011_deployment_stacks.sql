-- Deployment stacks: a deployment that owns what it made.

-- `shown` are the properties a GET tells as they were asked for; `template` is wrapped as in
-- deployments. While a stack is not over (ended_at is null), the deployment `deployment_uid` carries
-- it out, and `goal` says what comes of the row at its end. `unmanage` is what happens to what the
-- stack lets go: {resources, resourceGroups, managementGroups}, each delete or detach.
create table deployment_stacks (
    uid uuid primary key,
    key text not null unique,
    id text not null,
    name text not null,
    scope_key text not null,
    tenant_id uuid not null,
    subscription_id uuid references subscriptions,
    group_uid uuid references resources on delete cascade,
    location text,
    tags jsonb,
    shown jsonb not null,
    template text,
    goal text not null check (goal in ('deploy', 'delete')),
    unmanage jsonb not null,
    state text not null check (state in ('creating', 'deploying', 'deleting', 'succeeded', 'failed',
                                         'canceled')),
    operation_id uuid not null unique,
    correlation_id text not null,
    deployment_uid uuid not null,
    deployment_id text not null,
    outputs jsonb,
    detached jsonb,
    deleted jsonb,
    failed jsonb,
    error jsonb,
    is_out_of_sync boolean not null default false,
    deny_mode text not null default 'none'
        check (deny_mode in ('none', 'denyDelete', 'denyWriteAndDelete')),
    deny_principals text[] not null default '{}',
    deny_actions text[] not null default '{}',
    deny_children boolean not null default false,
    started_at timestamptz not null default now(),
    ended_at timestamptz
);
create index deployment_stacks_in_scope on deployment_stacks (scope_key, key);
create index deployment_stacks_in_group on deployment_stacks (group_uid);
create index deployment_stacks_by_deployment on deployment_stacks (deployment_uid);
create index deployment_stacks_that_deny on deployment_stacks (tenant_id) where deny_mode <> 'none';

-- What a stack manages, in the order of its template.
create table deployment_stack_resources (
    stack_uid uuid not null references deployment_stacks on delete cascade,
    scope_key text not null,
    id text not null,
    type text not null,
    api_version text not null,
    position int not null,
    primary key (stack_uid, scope_key)
);
create index deployment_stack_resources_by_key
    on deployment_stack_resources (scope_key text_pattern_ops);

-- The stack a deployment, nested ones included, belongs to.
alter table deployments
    add column stack_uid uuid references deployment_stacks on delete set null;
create index deployments_of_stack on deployments (stack_uid) where stack_uid is not null;
