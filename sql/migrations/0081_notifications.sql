-- Notifications: written in the transaction that changes the alerts they are about, sent afterwards.

-- What each receiver knows of each group of alerts.
create table alert_groups (
  group_key text not null,
  receiver text not null,
  alerts jsonb not null,
  first_at timestamptz not null,
  told_at timestamptz,
  told_count int4 not null default 0,
  primary key (group_key, receiver)
);

-- The outbox, and the log of what became of each.
create table notifications (
  notification_key text primary key,
  receiver text not null,
  group_key text not null,
  group_labels jsonb not null,
  why text not null,
  alerts jsonb not null,
  state text not null default 'waiting' check (state in ('waiting', 'sent', 'failed')),
  attempts int4 not null default 0,
  created_at timestamptz not null,
  next_at timestamptz not null,
  sent_at timestamptz,
  last_error text not null default ''
);
comment on column notifications.notification_key is 'the same for the same news: receivers know a repetition by it';
create index notifications_waiting on notifications (next_at) where state = 'waiting';
create index notifications_created_at on notifications (created_at);
