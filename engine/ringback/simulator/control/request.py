"""Requests to the control API and their answers: JSON in, JSON out."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ringback.errors import ConfigError
from ringback.simulator.refusal import Refusal, expect_plain
from ringback.simulator.voice.switch import ExchangeError
from ringback.simulator.world import World

LARGEST = 1024 * 1024


class Wrong(Exception):
    """A control request that cannot be done; the words say what to mend."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ControlRequest:
    """The body and the path of one control request."""

    def __init__(self, request: Request, data: dict[str, Any]) -> None:
        self.path = request.path_params
        self.query = request.query_params
        self.data = data

    def text(self, name: str, default: str | None = None) -> str:
        """A field as text. Without a default it must be there."""
        value = self.data.get(name, default)
        if value is None:
            raise Wrong(f"the body needs {name!r}")
        if not isinstance(value, str | int | float):
            raise Wrong(f"{name!r} must be text")
        return str(value)

    def number(self, name: str, default: float) -> float:
        value = self.data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(f"{name!r} must be a number")
        return float(value)


Handler = Callable[[World, ControlRequest], Awaitable[Any]]
Routes = tuple[tuple[str, str, Handler], ...]


async def answer(world: World, request: Request, does: Handler) -> Response:
    """Run one handler and write its answer; what cannot be done is a 4xx that says why."""
    try:
        raw = b""
        expect_plain(request.headers.getlist("content-encoding"))
        if request.method != "GET":
            async for piece in request.stream():
                raw += piece
                if len(raw) > LARGEST:
                    raise Wrong("the body is larger than 1 MiB", 413)
        data = json.loads(raw) if raw.strip() else {}
        json.dumps(data, ensure_ascii=False).encode()
        if not isinstance(data, dict):
            raise Wrong("the body must be a JSON object")
        result = await does(world, ControlRequest(request, data))
    except Wrong as wrong:
        return JSONResponse({"error": str(wrong)}, wrong.status)
    except Refusal as refusal:
        return JSONResponse({"error": refusal.message, "code": refusal.code}, refusal.status)
    except ExchangeError as error:
        return JSONResponse({"error": str(error), "code": error.code}, error.http_status)
    except ConfigError as error:
        return JSONResponse({"error": str(error)}, 400)
    except (ValueError, RecursionError) as error:
        # Half a surrogate pair is a ValueError, too: it is JSON, but no text that can be sent.
        return JSONResponse({"error": f"the body is not JSON: {error}"}, 400)
    if isinstance(result, Response):
        return result
    return JSONResponse(result, 201 if result and result.get("sid") and raw else 200)
