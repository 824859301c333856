"""Stub gateway: it says 201 at once and remembers when each request came."""

import json
import re
import time

TO = re.compile(rb"(?:^|&)To=%2B1555(\d{7})")
seen = {}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["method"] == "GET":
        payload = json.dumps(seen).encode()
        if scope["query_string"] == b"count":
            payload = str(len(seen)).encode()
    else:
        body = (await receive()).get("body", b"")
        found = TO.search(body)
        number = int(found.group(1)) if found else -1
        seen.setdefault(number, time.monotonic())
        # Another one than any text that came has.
        payload = b'{"sid": "SMf%031x", "status": "queued"}' % len(seen)
    await send(
        {
            "type": "http.response.start",
            "status": 201 if scope["method"] == "POST" else 200,
            "headers": [(b"content-type", b"application/json")],
        }
    )
    await send({"type": "http.response.body", "body": payload})
