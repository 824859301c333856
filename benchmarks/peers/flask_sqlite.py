"""Flask application that keeps each text in SQLite, synced, and answers some with `requests`: no
queue and no second process. What is sent is noted before and after, as somebody careful would."""

import os
import sqlite3
import threading

import requests
from flask import Flask, request
from twilio.request_validator import RequestValidator

URL = os.environ["BENCH_URL"]
validator = RequestValidator(os.environ["BENCH_TOKEN"])
app = Flask(__name__)
session = requests.Session()
local = threading.local()


def database():
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(
            f"{os.environ['BENCH_DIR']}/flask.db", timeout=30, isolation_level=None
        )
        local.connection.execute("pragma journal_mode=wal")
        local.connection.execute("pragma synchronous=full")
        local.connection.execute(
            "create table if not exists texts (sid text primary key, sender text, body text, "
            "state text)"
        )
    return local.connection


@app.post("/twilio/message")
def message():
    fields = request.form
    if not validator.validate(URL, fields, request.headers.get("X-Twilio-Signature", "")):
        return "", 403
    acts = "hours" in fields["Body"].lower().split()
    written = database().execute(
        "insert into texts values (?, ?, ?, ?) on conflict do nothing",
        (fields["MessageSid"], fields["From"], fields["Body"], "sending" if acts else "done"),
    )
    if acts and written.rowcount:
        session.post(
            os.environ["BENCH_GATEWAY"] + "/Messages.json",
            data={"To": fields["From"], "From": fields["To"], "Body": "Mon-Fri 9-17"},
            timeout=10,
        ).raise_for_status()
        database().execute("update texts set state = 'sent' where sid = ?", (fields["MessageSid"],))
    return "<Response/>", 200, {"Content-Type": "text/xml"}
