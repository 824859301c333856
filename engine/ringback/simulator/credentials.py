"""User and password of a webhook URL, sent after a 401 by Basic or Digest.

https://www.twilio.com/docs/usage/security#http-authentication
"""

import base64
import hashlib
import re
from urllib.parse import unquote, urlsplit

_PART = re.compile(r'(\w+)\s*=\s*(?:"([^"]{0,500})"|([^\s,"]{1,200}))')


def authorization(url: str, method: str, challenge: str) -> str:
    """The `Authorization` that answers a challenge; empty when it cannot be answered.

    `url` still has its user and password. Digest is MD5 with `qop=auth`, as RFC 2617 has it.
    """
    parts = urlsplit(url)
    if parts.username is None:
        return ""
    user, secret = unquote(parts.username), unquote(parts.password or "")
    scheme, _, rest = challenge.strip().partition(" ")
    if scheme.lower() == "basic":
        return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
    if scheme.lower() != "digest":
        return ""
    asked = {name.lower(): quoted or bare for name, quoted, bare in _PART.findall(rest)}
    if asked.get("algorithm", "MD5").upper() != "MD5" or "nonce" not in asked:
        return ""
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return _digest(user, secret, method, path or "/", asked)


def _digest(user: str, secret: str, method: str, path: str, asked: dict[str, str]) -> str:
    realm, nonce = asked.get("realm", ""), asked["nonce"]
    first, second = _md5(f"{user}:{realm}:{secret}"), _md5(f"{method}:{path}")
    words = [f'username="{user}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{path}"']
    if "auth" in re.split(r"[\s,]+", asked.get("qop", "")):
        count, own = "00000001", _md5(nonce + path)[:16]
        proof = _md5(f"{first}:{nonce}:{count}:{own}:auth:{second}")
        words += ["qop=auth", f"nc={count}", f'cnonce="{own}"']
    else:
        proof = _md5(f"{first}:{nonce}:{second}")
    words.append(f'response="{proof}"')
    if "opaque" in asked:
        words.append(f'opaque="{asked["opaque"]}"')
    return "Digest " + ", ".join(words)


def _md5(text: str) -> str:
    # What the scheme demands; it protects nothing here.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
