"""Passwords of people, as scrypt keeps them.

https://www.rfc-editor.org/rfc/rfc7914
"""

import base64
import hashlib
import hmac
import os

LEAST_LETTERS = 12
_COST, _BLOCK, _PARALLEL = 15, 8, 1
_MEMORY = 64 * 1024 * 1024


def kept(password: str) -> str:
    """What is stored of a password. It takes a tenth of a second and 32 MB."""
    salt = os.urandom(16)
    made = _made(password, salt, _COST, _BLOCK, _PARALLEL)
    parts = (_COST, _BLOCK, _PARALLEL, _text(salt), _text(made))
    return "$".join(("scrypt", *map(str, parts)))


def is_right(password: str, stored: str) -> bool:
    """Whether this is the password that something was stored of."""
    name, *rest = stored.split("$")
    if name != "scrypt" or len(rest) != 5:
        return False
    cost, block, parallel = map(int, rest[:3])
    salt, known = (base64.b64decode(each) for each in rest[3:])
    return hmac.compare_digest(_made(password, salt, cost, block, parallel), known)


def _made(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=1 << cost, r=block, p=parallel,
        maxmem=_MEMORY, dklen=32,
    )  # fmt: skip


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
