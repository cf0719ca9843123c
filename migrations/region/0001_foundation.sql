-- A region's database: what the control plane published for it, and what its registries hold.
-- Digests are bytea: one byte of algorithm (1 sha256, 2 sha512) and the raw hash.
-- `clock` is a hybrid logical clock (48 bits of milliseconds, 16 of counter), `origin` the region
-- that wrote last: tags and each attribute group are last-writer-wins registers under (clock, origin).

-- Published projection ----------------------------------------------------------------------------

-- generation moves with every change of anything published for the registry.
create table registries (
    id uuid primary key,
    name text not null,
    login_server text not null unique,
    generation bigint not null default 1,
    resource_generation bigint not null,
    settings jsonb not null,
    wrapped_signing_key text not null,
    wrapped_data_key text not null,
    data_key_epoch int not null default 1,
    published_at timestamptz not null default now()
);

-- Names that sign in with a password: the admin user and scoped tokens.
create table credentials (
    registry_id uuid not null references registries on delete cascade,
    username text not null,
    password_name text not null,
    kind text not null check (kind in ('admin', 'token')),
    hash text not null,
    expires_at timestamptz,
    permissions jsonb not null,
    primary key (registry_id, username, password_name)
);

-- What directory identities may do here: the data actions of their role assignments.
create table grants (
    registry_id uuid not null references registries on delete cascade,
    principal_id uuid not null,
    permissions jsonb not null,
    primary key (registry_id, principal_id)
);

-- Keys whose directory tokens are accepted at /oauth2/exchange.
create table directory_keys (
    kid text primary key,
    public_pem text not null,
    verifies_until timestamptz not null
);

-- Content -----------------------------------------------------------------------------------------

create table repositories (
    id bigint generated always as identity primary key,
    registry_id uuid not null references registries on delete cascade,
    name text collate "C" not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    can_read boolean not null default true,
    can_write boolean not null default true,
    can_delete boolean not null default true,
    can_list boolean not null default true,
    attributes_clock bigint not null default 0,
    attributes_origin text not null default '',
    unique (registry_id, name)
);

-- One row per stored content of a registry; salt is the one in the sealed file's header, so a
-- swapped file is found out.
create table blobs (
    id bigint generated always as identity primary key,
    registry_id uuid not null references registries on delete cascade,
    digest bytea not null,
    size bigint not null check (size >= 0),
    salt bytea,
    created_at timestamptz not null default now(),
    unique (registry_id, digest)
);

-- Other digests of the same content.
create table blob_aliases (
    registry_id uuid not null references registries on delete cascade,
    digest bytea not null,
    blob_id bigint not null references blobs on delete cascade,
    primary key (registry_id, digest)
);
create index blob_aliases_by_blob on blob_aliases (blob_id);

create table repository_blobs (
    repository_id bigint not null references repositories on delete cascade,
    blob_id bigint not null references blobs,
    created_at timestamptz not null default now(),
    primary key (repository_id, blob_id)
);
create index repository_blobs_by_blob on repository_blobs (blob_id);

create table manifests (
    id bigint generated always as identity primary key,
    repository_id bigint not null references repositories on delete cascade,
    digest bytea not null,
    media_type text not null,
    artifact_type text,
    config_media_type text,
    architecture text,
    os text,
    annotations jsonb,
    subject bytea,
    payload bytea not null,
    image_size bigint not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    can_read boolean not null default true,
    can_write boolean not null default true,
    can_delete boolean not null default true,
    can_list boolean not null default true,
    quarantine_state text,
    quarantine_details text,
    attributes_clock bigint not null default 0,
    attributes_origin text not null default '',
    clock bigint not null,
    origin text not null,
    unique (repository_id, digest)
);
create index manifests_by_subject on manifests (repository_id, subject, digest)
    where subject is not null;

create table manifest_aliases (
    repository_id bigint not null references repositories on delete cascade,
    digest bytea not null,
    manifest_id bigint not null references manifests on delete cascade,
    primary key (repository_id, digest)
);
create index manifest_aliases_by_manifest on manifest_aliases (manifest_id);

create table manifest_blobs (
    manifest_id bigint not null references manifests on delete cascade,
    blob_id bigint not null references blobs,
    primary key (manifest_id, blob_id)
);
create index manifest_blobs_by_blob on manifest_blobs (blob_id);

create table manifest_children (
    manifest_id bigint not null references manifests on delete cascade,
    child_id bigint not null references manifests,
    primary key (manifest_id, child_id)
);
create index manifest_children_by_child on manifest_children (child_id);

create table tags (
    repository_id bigint not null references repositories on delete cascade,
    name text collate "C" not null,
    manifest_id bigint not null references manifests,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    can_read boolean not null default true,
    can_write boolean not null default true,
    can_delete boolean not null default true,
    can_list boolean not null default true,
    attributes_clock bigint not null default 0,
    attributes_origin text not null default '',
    clock bigint not null,
    origin text not null,
    primary key (repository_id, name)
);
create index tags_by_manifest on tags (manifest_id);

-- What was deleted, so that a late write of a peer cannot bring it back.
create table tombstones (
    registry_id uuid not null references registries on delete cascade,
    kind text not null check (kind in ('repository', 'manifest', 'tag')),
    key text not null,
    clock bigint not null,
    origin text not null,
    deleted_at timestamptz not null default now(),
    primary key (registry_id, kind, key)
);
