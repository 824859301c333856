BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'ringback.journal','0001_journal','2026-11-22 15:45:27.515180+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'ringback.journal','0002_effect','2026-11-28 19:35:36.952374+00:00');
CREATE TABLE actions (
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
    depth integer not null default 0, effect text not null default '',
    unique (event_uid, rule, ordinal)
);
INSERT INTO "actions" VALUES(1,'act_01M81YY2X5YGC81DJAZGS9MNY1','run_01M81YY2X53RCYEQ5DHR3GQ7WB','evt_01M81YY2X506VCTYRV6SA832MT','hours',0,'send_message','{"to": "+12025550142", "body": "9 to 5", "sender": "+15550001111", "messaging_service_sid": "", "media": [], "in_reply_to": "", "send_by": 0, "extra": {}}','checked','settled','delivered reported by Twilio','SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','delivered',0,'2026-03-14T09:30:00.000Z','2026-03-14T09:30:02.000Z',NULL,NULL,1,0,0,'k','+15550001111/+12025550142',1,'message');
CREATE TABLE answers (
    event_uid text primary key,
    twiml text not null,
    at text not null
) without rowid;
CREATE TABLE attempts (
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
INSERT INTO "attempts" VALUES(1,'att_1','act_01M81YY2X5YGC81DJAZGS9MNY1',1,'tttttttttttttttttttttttt','2026-03-14T09:30:01.000Z','2026-03-14T09:30:01.000Z','accepted',201,0,'','','b');
CREATE TABLE consents (
    sender text not null,
    recipient text not null,
    state text not null,
    source text not null,
    at text not null,
    event_uid text not null default '',
    primary key (sender, recipient)
) without rowid;
CREATE TABLE contacts (
    conversation text primary key,
    first_at text not null,
    last_inbound_at text,
    last_outbound_at text,
    inbound integer not null default 0,
    outbound integer not null default 0,
    memory text not null default '{}'
) without rowid;
INSERT INTO "contacts" VALUES('+15550001111/+12025550142','2026-03-14T09:30:00.000Z','2026-03-14T09:30:00.000Z','2026-03-14T09:30:01.000Z',1,1,'{}');
CREATE TABLE ends (
    id integer primary key,
    action_uid text not null,
    state text not null
);
CREATE TABLE events (
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
INSERT INTO "events" VALUES(1,1,'evt_01M81YY2X506VCTYRV6SA832MT','message.received','2026-03-14T09:30:00.000Z','2026-03-14T09:30:00.000Z','signed','webhook','AC1','SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','+12025550142','+15550001111','+15550001111/+12025550142','',0,'','{"hours": "fired", "closed": "if:2", "other-number": "to"}','one',0,NULL);
INSERT INTO "events" VALUES(2,NULL,'evt_01M81YY2X5D5EHFRCAEWB2DEHR','message.delivered','2026-03-14T09:30:02.000Z','2026-03-14T09:30:02.000Z','signed','webhook','AC1','SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','+15550001111','+12025550142','+15550001111/+12025550142','delivered',0,'tttttttttttttttttttttttt','{}','two',0,'{}');
CREATE TABLE incidents (
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
CREATE TABLE listens (
    state text primary key
) without rowid;
CREATE TABLE meta (
    key text primary key,
    value text not null
) without rowid
;
INSERT INTO "meta" VALUES('cursor','1');
CREATE TABLE runs (
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
INSERT INTO "runs" VALUES(1,'run_01M81YY2X53RCYEQ5DHR3GQ7WB','evt_01M81YY2X506VCTYRV6SA832MT','hours','rev1','+15550001111/+12025550142','done','',NULL,'','2026-03-14T09:30:00.000Z','2026-03-14T09:30:00.000Z',0,NULL);
CREATE TABLE strikes (
    rule text primary key,
    plugin text not null,
    count integer not null,
    last_at text not null,
    reason text not null,
    quarantined_at text
) without rowid;
CREATE TABLE timers (
    id integer primary key,
    key text not null unique,
    kind text not null,
    due_at text not null,
    payload text not null default '{}',
    event_uid text not null default '',
    run_uid text not null default ''
);
CREATE TABLE wakes (
    id integer primary key,
    run_uid text not null,
    event_uid text not null,
    unique (run_uid, event_uid)
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX events_dedupe on events (dedupe_key);
CREATE UNIQUE INDEX events_uid on events (uid);
CREATE INDEX events_subject on events (subject_sid);
CREATE INDEX events_conversation on events (conversation);
CREATE INDEX events_type on events (type);
CREATE INDEX events_error on events (error_code) where error_code > 0;
CREATE INDEX events_unmatched on events (id) where verdicts is null;
CREATE INDEX events_claimed on events (id) where trust = 'claimed';
CREATE INDEX runs_event on runs (event_uid);
CREATE INDEX runs_rule_key on runs (rule, key);
CREATE INDEX runs_open on runs (state, due_at) where state in ('pending', 'running', 'waiting');
CREATE INDEX actions_run on actions (run_uid);
CREATE INDEX actions_state on actions (state, due_at);
CREATE INDEX actions_conversation on actions (conversation, planned_at);
CREATE INDEX actions_remote on actions (remote_sid) where remote_sid <> '';
CREATE UNIQUE INDEX actions_collision on actions (collision_key)
    where collision_key <> '' and state in ('sending', 'unknown');
CREATE INDEX attempts_action on attempts (action_uid);
CREATE INDEX attempts_open on attempts (id) where ended_at is null;
CREATE UNIQUE INDEX incidents_open on incidents (key) where state = 'open';
CREATE INDEX timers_due on timers (due_at);
CREATE TRIGGER actions_ended after update of state on actions
when new.state <> old.state and new.state in (select state from listens)
begin
    insert into ends (action_uid, state) values (new.uid, new.state);
end;
CREATE UNIQUE INDEX actions_claim on actions (remote_sid) where remote_sid <> '' and effect <> ''
;
COMMIT;
