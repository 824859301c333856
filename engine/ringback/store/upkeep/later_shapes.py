"""Indexes and columns that later migrations of the journal add: see `ringback.store.migrations`."""

EFFECT = """
alter table actions add column effect text not null default '';
update actions set effect = 'message' where kind = 'send_message';
update actions set effect = 'call' where kind = 'place_call';
drop index actions_claim;
create unique index actions_claim on actions (remote_sid) where remote_sid <> '' and effect <> ''
"""
"""What an action makes at Twilio stands beside its kind, so that no query has to know the kinds."""

WENT = """
create trigger actions_made after update of remote_sid on actions
when new.effect = 'message' and new.conversation <> ''
    and old.remote_sid = '' and new.remote_sid <> ''
begin
    insert into contacts (conversation, first_at, last_outbound_at, outbound)
    select new.conversation, made.at, made.at, 1 from (
        select coalesce(max(started_at), new.planned_at) as at
        from attempts where action_uid = new.uid
    ) as made where true
    on conflict (conversation) do update set outbound = outbound + 1,
        last_outbound_at = max(coalesce(last_outbound_at, ''), excluded.last_outbound_at);
end
"""
UNMADE = """
create trigger actions_unmade after update of remote_sid on actions
when new.effect = 'message' and old.remote_sid <> '' and new.remote_sid = ''
begin
    update contacts set outbound = outbound - 1 where conversation = new.conversation;
end
"""
COUNTED = """
update contacts set outbound = max(outbound, (
    select count(*) from actions a where a.conversation = contacts.conversation
    and a.effect = 'message' and a.remote_sid <> ''
))
"""
"""Which texts went is counted with the change itself: the API's answer, a callback that comes
before it, or Twilio's list may be what tells."""

PORTIONS = "create table portions (run_uid text, n integer, body text, primary key (run_uid, n))"
"""A long answer of a rule, from when it is given until all of its actions are planned."""

STEADY = """
alter table attempts add column uptime real;
alter table attempts add column machine_start text not null default ''
"""
"""When an attempt left, by the one clock that nobody can set."""

TURNS = """
create table turns (
    id integer primary key,
    run_uid text not null,
    event_uid text not null,
    question text not null,
    ordinal integer not null,
    at text not null
);
create index turns_run on turns (run_uid);
create index turns_event on turns (event_uid);
create table revisions (
    id integer primary key,
    rule text not null,
    rev text not null,
    lines text not null,
    text text not null,
    since integer not null,
    at text not null
);
create index revisions_rule on revisions (rule)
"""
"""The events that runs took after they had waited, and what each rule said at which time."""

ACCOUNTS = """
alter table actions add column account_sid text not null default '';
alter table actions add column behind text not null default '';
create index actions_behind on actions (behind) where behind <> ''
"""
"""The account that an action is done in, when it is not the configured one; and the text before it
that must be taken first."""

FREE = "alter table actions add column free_at text"
"""Since when an action may leave, when that is not since it was planned."""

LISTS = """
create index runs_rule on runs (rule);
create index runs_open_key on runs (rule, key) where state in ('pending', 'running', 'waiting');
create index runs_ended_badly on runs (state) where state in ('failed', 'skipped', 'cancelled');
create index actions_rule on actions (rule);
create index actions_kind on actions (kind);
create index actions_without_success on actions (state)
    where state in ('failed', 'refused', 'cancelled', 'captured');
create index contacts_theirs on contacts (substr(conversation, instr(conversation, '/') + 1))
"""
"""What people list and search for: the newest rows of each, however old the journal is."""


REMEMBERED = """
create index actions_remembered on actions (conversation, id) where kind = 'remember'
"""
"""What a rule in shadow would have remembered is found among all that was."""
COSTS = """
alter table actions add column segments integer;
alter table actions add column price text;
alter table actions add column price_unit text not null default '';
alter table actions add column price_due text;
create index actions_price_due on actions (price_due) where price_due is not null
"""
BILLED = """
create trigger actions_billed after update of state, remote_sid on actions
when new.effect <> '' and (
    (old.remote_sid <> '' and new.remote_sid <> old.remote_sid)
    or (new.state <> old.state and new.state in ('settled', 'failed') and new.remote_sid <> '')
)
begin
    update actions set segments = null, price = null, price_unit = '', price_due = null
    where id = new.id and new.remote_sid <> old.remote_sid and old.remote_sid <> '';
    update actions set price_due = strftime('%Y-%m-%dT%H:%M:%fZ', new.settled_at, '+5 minutes')
    where id = new.id and price is null and new.remote_sid <> ''
    and new.state in ('settled', 'failed');
end
"""
"""What an action cost, and when its record is to be looked at for that: from five minutes after
its end on. What was known of another record is forgotten with it. Of what ended before nothing is
due, so that an old journal asks for nothing."""


OPEN = "(state = 'pending' or state = 'running' or state = 'waiting')"
WORDS = f"""
drop index runs_open; drop index runs_open_key;
drop index runs_ended_badly; drop index actions_without_success;
create index runs_open on runs (state, due_at) where {OPEN};
create index runs_open_key on runs (rule, key) where {OPEN};
create index runs_ended_badly on runs (state)
    where (state = 'failed' or state = 'skipped' or state = 'cancelled');
create index actions_without_success on actions (state)
    where (state = 'failed' or state = 'refused' or state = 'cancelled' or state = 'captured')
"""
"""The same indexes in words that cost nothing when a row is written; see `one_of`."""

CONSENTS = """
create index consents_at on consents (at);
create index consents_recipient on consents (recipient, at)
"""
"""Who left lately, and what one person said to all of our numbers."""

TEXTS = """
create table text_counts (
    dimension text not null,
    value text not null,
    minute text not null,
    delivered integer not null default 0,
    failed integer not null default 0,
    primary key (dimension, value, minute)
) without rowid;
create index text_counts_minute on text_counts (minute);
create table pending_texts (
    sid text primary key,
    sender text not null,
    service text not null,
    began_at text not null
) without rowid;
create index pending_texts_began on pending_texts (began_at)
"""
"""Texts of ours that came to an end, each counted once, by minute; and those that have yet to."""

SPENT = """
create table spend_counts (
    span text not null,
    measure text not null,
    dimension text not null,
    value text not null,
    number integer not null,
    primary key (span, measure, dimension, value)
) without rowid
"""
"""What texts and calls of ours took, by five minutes."""

INCIDENTS = """
alter table pending_texts add column country text not null default '';
alter table incidents add column details text not null default '{}';
alter table incidents add column acked_at text;
alter table incidents add column muted_until text;
alter table incidents add column note text not null default '';
create index incidents_key on incidents (key)
"""
"""What an incident is about, and what people say to it."""

ESCALATIONS = """
alter table incidents add column acked_by text not null default '';
alter table incidents add column policy text not null default '';
alter table incidents add column step integer not null default 0;
alter table incidents add column step_due text;
alter table incidents add column told text not null default '[]';
create index incidents_step_due on incidents (step_due) where step_due is not null
"""
"""Who is told of an incident: the policy, how many of its steps had their turn, when the next one
is due, and what was told to whom. Incidents of before are told to nobody."""

OPERATIONS = """
create table doings (
    id integer primary key,
    uid text not null unique,
    at text not null,
    who text not null,
    role text not null,
    via text not null,
    peer text not null default '',
    op text not null,
    subject text not null,
    wanted text not null default '{}',
    was text not null default '',
    became text not null default '',
    outcome text not null,
    reason text not null default '',
    request text unique,
    answer text not null default '{}'
);
create index doings_subject on doings (subject);
create index doings_op on doings (op);
create index doings_who on doings (who);
create index doings_outcome on doings (outcome);
create table rule_states (
    name text primary key,
    state text not null,
    file text not null,
    rev text not null,
    until text,
    by text not null,
    reason text not null,
    at text not null
) without rowid
"""
"""What people did, and the states that they gave to rules over those of the files."""

SOUGHT = """
create index events_source on events (source)
    where (source = 'repair' or source = 'replay' or source = 'internal');
create index actions_error on actions (error_code) where error_code > 0
"""
"""What lists in parts are asked for and few rows are: each row that is neither costs nothing."""

GROUPS = """
create table cards (
    number text primary key,
    fields text not null default '{}',
    at text not null
) without rowid;
create table group_members (
    id integer primary key,
    name text not null,
    number text not null,
    address text not null,
    at text not null,
    by text not null default '',
    unique (name, number)
);
create index group_members_of on group_members (number);
create index actions_members on actions
    (json_extract(params, '$.group'), json_extract(params, '$.who'), id) where kind = 'set_member'
"""
"""What is known of persons whatever number of ours they write to, and the groups they are in."""

BROADCASTS = """
alter table bulks add column failed integer not null default 0
"""
"""A bulk that is a broadcast tells what the gate refused from what failed at Twilio."""

RUN_LOCKS = """
create table run_locks (
    key text not null,
    shadow text not null,
    run_uid text not null,
    at text not null,
    until text not null,
    primary key (key, shadow)
) without rowid;
create index run_locks_until on run_locks (until)
"""
"""Which run came first to a key."""

PROBLEMS = """
create table problems (
    key text primary key,
    state text not null,
    until text,
    above integer,
    note text not null,
    by text not null,
    at text not null
) without rowid
"""
"""What people said to groups of failures."""

BULKS = """
create table bulks (
    id integer primary key,
    uid text not null unique,
    op text not null,
    wanted text not null default '{}',
    until_id integer not null,
    state text not null,
    total integer not null,
    done integer not null,
    refused integer not null,
    skipped integer not null,
    by text not null,
    began_at text,
    ended_at text
);
create index bulks_open on bulks (state, began_at);
create table bulk_items (
    bulk integer not null,
    n integer not null,
    uid text not null,
    was text not null,
    state text not null default '',
    reason text not null default '',
    primary key (bulk, n)
) without rowid;
create index bulk_items_state on bulk_items (bulk, state, n)
"""
"""One decision about many things, and what each of these is and became."""

MUTES = """
create table mutes (
    conversation text primary key,
    uid text not null unique,
    until text not null,
    by text not null,
    reason text not null default '',
    at text not null
) without rowid;
create index mutes_until on mutes (until);
insert or ignore into meta (key, value)
    values ('conversation_key', lower(hex(randomblob(16))))
"""
"""Conversations that a person has taken over, and the key of the names of conversations."""
