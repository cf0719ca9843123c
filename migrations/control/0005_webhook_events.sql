-- What was sent for a webhook and what came back, newest first; secrets are masked before they get
-- here. Only the newest are kept.
create table webhook_events (
    id uuid primary key,
    webhook_uid uuid not null references resources on delete cascade,
    at timestamptz not null default now(),
    request jsonb not null,
    response jsonb
);
create index webhook_events_by_webhook on webhook_events (webhook_uid, at desc, id);
