"""Static files of the console: style, modules and icons, read once and served from memory.

They stand under the digest of all of them, so that a browser may keep them for ever and a module
finds its neighbours by name.
"""

import hashlib
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console.problems import refuse

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}


class Static:
    """The files that come along. `prefix` is the path that they stand under."""

    def __init__(self) -> None:
        folder = files("ringback.console") / "static"
        self._files = {
            each.name: each.read_bytes()
            for each in sorted(folder.iterdir(), key=lambda each: each.name)
            if each.name.rpartition(".")[2] in TYPES
        }
        whole = hashlib.sha256(b"\0".join(self._files.values())).hexdigest()[:12]
        self.prefix = f"/console/static/{whole}"
        self.route = Route("/console/static/{digest}/{name}", self._answer, methods=["GET"])

    async def _answer(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise refuse("missing")
        kept = FOR_EVER if request.url.path.startswith(f"{self.prefix}/") else {}
        return Response(
            self._files[name], media_type=TYPES[name.rpartition(".")[2]], headers=kept
        )  # fmt: skip
