"""First shape of the log and the journal, which migrations bring to today's. Never changed."""

LOG = """
create table log (
    id integer primary key,
    received_at text not null,
    route text not null,
    trust text not null,
    source text not null,
    tag text not null,
    content_type text not null,
    body blob not null
)
"""

JOURNAL = """
create table events (
    id integer primary key,
    log_id integer,
    uid text not null,
    type text not null,
    at text not null,
    received_at text not null,
    trust text not null,
    source text not null,
    account_sid text not null,
    subject_sid text not null,
    sender text not null,
    recipient text not null,
    conversation text not null,
    status text not null,
    error_code integer not null,
    tag text not null,
    verdicts text,
    dedupe_key text not null,
    depth integer not null default 0,
    fields text
);
create unique index events_dedupe on events (dedupe_key);
create unique index events_uid on events (uid);
create index events_subject on events (subject_sid);
create index events_conversation on events (conversation);
create index events_type on events (type);
create index events_error on events (error_code) where error_code > 0;
create index events_unmatched on events (id) where verdicts is null;
create index events_claimed on events (id) where trust = 'claimed';

create table runs (
    id integer primary key,
    uid text not null unique,
    event_uid text not null,
    rule text not null,
    rule_rev text not null,
    key text not null,
    state text not null,
    reason text not null default '',
    due_at text,
    verdicts text not null default '',
    started_at text not null,
    ended_at text,
    priority integer not null default 0,
    memory text
);
create index runs_event on runs (event_uid);
create index runs_rule_key on runs (rule, key);
create index runs_open on runs (state, due_at) where state in ('pending', 'running', 'waiting');

create table wakes (
    id integer primary key,
    run_uid text not null,
    event_uid text not null,
    unique (run_uid, event_uid)
);

create table actions (
    id integer primary key,
    uid text not null unique,
    run_uid text not null,
    event_uid text not null,
    rule text not null,
    ordinal integer not null,
    kind text not null,
    params text not null,
    policy text not null,
    state text not null,
    reason text not null default '',
    remote_sid text not null default '',
    outcome text not null default '',
    error_code integer not null default 0,
    planned_at text not null,
    settled_at text,
    due_at text,
    send_by text,
    tries integer not null default 0,
    polls integer not null default 0,
    resends integer not null default 0,
    collision_key text not null default '',
    conversation text not null default '',
    depth integer not null default 0,
    unique (event_uid, rule, ordinal)
);
create index actions_run on actions (run_uid);
create index actions_state on actions (state, due_at);
create index actions_conversation on actions (conversation, planned_at);
create index actions_remote on actions (remote_sid) where remote_sid <> '';
create unique index actions_claim on actions (remote_sid)
    where remote_sid <> '' and kind in ('send_message', 'place_call');
create unique index actions_collision on actions (collision_key)
    where collision_key <> '' and state in ('sending', 'unknown');

create table attempts (
    id integer primary key,
    uid text not null unique,
    action_uid text not null,
    n integer not null,
    tag text not null unique,
    started_at text not null,
    ended_at text,
    result text not null default '',
    http_status integer not null default 0,
    twilio_code integer not null default 0,
    request_id text not null default '',
    detail text not null default '',
    boot text not null default ''
);
create index attempts_action on attempts (action_uid);
create index attempts_open on attempts (id) where ended_at is null;

create table answers (
    event_uid text primary key,
    twiml text not null,
    at text not null
) without rowid;

create table contacts (
    conversation text primary key,
    first_at text not null,
    last_inbound_at text,
    last_outbound_at text,
    inbound integer not null default 0,
    outbound integer not null default 0,
    memory text not null default '{}'
) without rowid;

create table consents (
    sender text not null,
    recipient text not null,
    state text not null,
    source text not null,
    at text not null,
    event_uid text not null default '',
    primary key (sender, recipient)
) without rowid;

create table incidents (
    id integer primary key,
    uid text not null unique,
    key text not null,
    kind text not null,
    state text not null,
    text text not null,
    count integer not null default 1,
    opened_at text not null,
    last_at text not null,
    resolved_at text
);
create unique index incidents_open on incidents (key) where state = 'open';

create table timers (
    id integer primary key,
    key text not null unique,
    kind text not null,
    due_at text not null,
    payload text not null default '{}',
    event_uid text not null default '',
    run_uid text not null default ''
);
create index timers_due on timers (due_at);

create table strikes (
    rule text primary key,
    plugin text not null,
    count integer not null,
    last_at text not null,
    reason text not null,
    quarantined_at text
) without rowid;

create table listens (
    state text primary key
) without rowid;

create table ends (
    id integer primary key,
    action_uid text not null,
    state text not null
);

create table meta (
    key text primary key,
    value text not null
) without rowid
"""
