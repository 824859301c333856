"""Flask application as many people write it: the official validator, a Celery task in Redis. Redis
writes and syncs its log before it answers (appendfsync always), so that a 204 is durable here too.
Only the enqueueing is measured; no Celery worker runs."""

import os

from celery import Celery
from flask import Flask, request
from twilio.request_validator import RequestValidator

URL = os.environ["BENCH_URL"]
validator = RequestValidator(os.environ["BENCH_TOKEN"])
queue = Celery("bench", broker=os.environ["BENCH_REDIS"])
queue.conf.task_ignore_result = True
app = Flask(__name__)


@queue.task
def handle(fields):
    return fields


@app.post("/twilio/message/status")
def status():
    if not validator.validate(URL, request.form, request.headers.get("X-Twilio-Signature", "")):
        return "", 403
    handle.delay(dict(request.form))
    return "", 204
