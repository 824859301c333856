"""Flask application with a Celery worker that looks at each text and answers some."""

import os

import requests
from celery import Celery
from flask import Flask, request
from twilio.request_validator import RequestValidator

URL = os.environ["BENCH_URL"]
validator = RequestValidator(os.environ["BENCH_TOKEN"])
queue = Celery("bench", broker=os.environ["BENCH_REDIS"])
queue.conf.task_ignore_result = True
queue.conf.worker_hijack_root_logger = False
app = Flask(__name__)
session = requests.Session()


@queue.task
def handle(fields):
    if "hours" in fields["Body"].lower().split():
        session.post(
            os.environ["BENCH_GATEWAY"] + "/Messages.json",
            data={"To": fields["From"], "From": fields["To"], "Body": "Mon-Fri 9-17"},
            timeout=10,
        ).raise_for_status()


@app.post("/twilio/message")
def message():
    if not validator.validate(URL, request.form, request.headers.get("X-Twilio-Signature", "")):
        return "", 403
    handle.delay(dict(request.form))
    return "<Response/>", 200, {"Content-Type": "text/xml"}
