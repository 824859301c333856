BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'ringback.log','0001_log','2026-11-22 15:45:27.458230+00:00');
CREATE TABLE log (
    id integer primary key,
    received_at text not null,
    route text not null,
    trust text not null,
    source text not null,
    tag text not null,
    content_type text not null,
    body blob not null
);
INSERT INTO "log" VALUES(1,'2026-03-14T09:30:00.000Z','message','signed','webhook','','application/x-www-form-urlencoded',X'4D6573736167655369643D534D61616161616161616161616161616161616161616161616161616161616161612646726F6D3D253242313230323535353031343226546F3D253242313535353030303131313126426F64793D686F757273253346253162264E756D4D656469613D');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
COMMIT;
