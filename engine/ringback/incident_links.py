"""Links by which a person says to know of an incident: signed, for one incident and this alone.

The key lies in the data folder, so that the receiver knows the links that its worker has made. A
link says nothing of what the incident is about; that it is over is the worker's to know.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ringback.errors import StorageError
from ringback.private_files import FILE

PATH = "/incident"
KEY = "links.key"
_SIGNS, _BYTES = 32, 32


def link(public_url: str, data: Path, uid: str) -> str:
    """The address at which the incident can be acknowledged; empty for a node without one."""
    return f"{public_url.rstrip('/')}{PATH}/{uid}/{_signature(data, uid)}" if public_url else ""


def is_signed(data: Path, uid: str, signature: str) -> bool:
    """Whether this is the signature of the incident's link."""
    return hmac.compare_digest(_signature(data, uid).encode(), signature.encode())


def _signature(data: Path, uid: str) -> str:
    said = f"acknowledge {uid}".encode("utf-8", "surrogatepass")
    return hmac.new(_key(data), said, hashlib.sha256).hexdigest()[:_SIGNS]


@lru_cache(maxsize=8)
def _key(data: Path) -> bytes:
    """The key of a data folder, made by whoever asks first. One that is cut short is no secret: it
    is never signed with. Raises OSError as the disk does, and StorageError for such a key."""
    path = data / KEY
    if not path.exists():
        fresh = data / f"{KEY}.{os.getpid()}"
        with contextlib.suppress(FileExistsError), _removed(fresh):
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
            os.link(fresh, path)  # whole or not at all, and never in place of another's
    found = path.read_bytes()
    if len(found) != _BYTES:
        raise StorageError(f"{path} is damaged: delete it and restart; links that are out end then")
    return found


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
