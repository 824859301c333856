"""Static files of the console: style, script and icons, read once and served from memory.

They stand under the digest of all of them, so that a browser may keep them for ever. The modules
are served as one script: on two cores the requests for eight of them made the first paint late.
"""

import hashlib
import re
from collections.abc import Mapping
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


ENTRY, SHARED = "console.js", "dom.js"
"""The script that pages name, and the module that others take functions from."""
_IMPORT = re.compile(r'^import (?:\{[\w, ]+\} from )?"\./(\w+\.js)";\n', re.MULTILINE)


class Static:
    """The files that come along. `prefix` is the path that they stand under."""

    def __init__(self) -> None:
        folder = files("ringback.console") / "static"
        self._files = {
            each.name: each.read_bytes()
            for each in sorted(folder.iterdir(), key=lambda each: each.name)
            if each.name.rpartition(".")[2] in TYPES
        }
        self._files[ENTRY] = joined(self._files)
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


def joined(files: Mapping[str, bytes]) -> bytes:
    """The modules that the entry names, as one: each in a block of its own, so that its names stay
    its own, behind what they share."""
    text = {name: data.decode() for name, data in files.items() if name.endswith(".js")}
    parts = [text[SHARED].replace("export function", "function").replace("export async", "async")]
    parts += [
        f"{{\n{_IMPORT.sub('', text[name])}}}\n"
        for name in _IMPORT.findall(text[ENTRY]) if name != SHARED
    ]  # fmt: skip
    return "".join(parts).encode()
