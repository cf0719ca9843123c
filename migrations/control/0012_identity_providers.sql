-- People who sign in at another OpenID provider. A provider is trusted by whoever may change the directory;
-- who its people are here is said by a link, and never guessed from a name or an address.
create table identity_providers (
    id uuid primary key,
    tenant_id uuid not null references tenants,
    display_name text not null,
    issuer text not null,
    client_id text not null,
    wrapped_secret text not null,
    scope text not null,
    created_at timestamptz not null default now(),
    unique (tenant_id, issuer)
);

create table user_identities (
    tenant_id uuid not null,
    issuer text not null,
    subject text not null,
    principal_id uuid not null references principals on delete cascade,
    primary key (tenant_id, issuer, subject),
    foreign key (tenant_id, issuer) references identity_providers (tenant_id, issuer) on delete cascade
);
create index user_identities_by_principal on user_identities (principal_id);

-- A link that ends, and a provider that is trusted no more, end what was begun with them.
create function end_sign_ins() returns trigger language plpgsql as $$
begin
    delete from login_grants where principal_id = old.principal_id;
    return null;
end
$$;
create trigger end_sign_ins after delete on user_identities for each row execute function end_sign_ins();

-- Browsers that are at a provider right now. `hash` is of the secret that the browser keeps, of which
-- everything else that must not be guessed is made.
create table external_sign_ins (
    hash text primary key,
    provider_id uuid not null references identity_providers on delete cascade,
    target text not null,
    user_code text,
    principal_id uuid references principals on delete cascade,
    expires_at timestamptz not null
);
create index external_sign_ins_by_end on external_sign_ins (expires_at);
