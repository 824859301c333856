"""Bare server for comparison: uvicorn answering 204 to everything, nothing read, nothing kept."""


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
