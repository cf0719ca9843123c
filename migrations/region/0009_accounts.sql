-- Scope maps stand for themselves: a token's password names its map, so a change of a map is one row
-- however many tokens use it. A row without a map allows what its own permissions say.
create table scope_maps (
    registry_id uuid not null references registries on delete cascade,
    id uuid not null,
    resource_generation bigint not null, -- of the desired state it was made from; only ever grows
    version bigint not null default 1,   -- moves with the permissions
    permissions jsonb not null,
    primary key (registry_id, id)
);
alter table credentials add column scope_map_id uuid;

-- The sum over a registry's slots moves with every change of its credentials and scope maps. Apart
-- from the generation, so that a new token makes nobody reload the rest; in slots, so that those who
-- publish tokens at once do not wait for each other.
create table account_changes (
    registry_id uuid not null references registries on delete cascade,
    slot smallint not null,
    count bigint not null,
    primary key (registry_id, slot)
) with (fillfactor = 50);
