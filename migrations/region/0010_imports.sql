-- Imports: images that a registry is asked to fetch from another one. The control plane writes a row
-- and moves the registry's generation, by which data planes learn of it; one of them claims the row
-- for as long as it keeps the lease, and says how it ended.
create table imports (
    id uuid primary key, -- of the operation that asks for it
    registry_id uuid not null references registries on delete cascade,
    request jsonb not null,
    wrapped_secret text, -- what the source is signed in to with; gone with the end
    attempts int not null default 0,
    lease_owner uuid,
    lease_until timestamptz,
    failure jsonb, -- {code, message}, of one that ended badly
    created_at timestamptz not null default now(),
    ended_at timestamptz
);
create index imports_open on imports (registry_id, created_at) where ended_at is null;
create index imports_ended on imports (ended_at) where ended_at is not null;
