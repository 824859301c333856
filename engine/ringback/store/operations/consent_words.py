"""Words of people about consent, said for a person who is texted. Their own STOP is not undone."""

import secrets
from base64 import b32encode
from dataclasses import dataclass
from hashlib import blake2b

from ringback.errors import Conflict
from ringback.events import conversation_of, person
from ringback.store.connection import Connection
from ringback.store.consents import SERVICE_OF, note
from ringback.store.database import Database
from ringback.store.meta import get_meta, set_meta
from ringback.store.operations.doings import Doing, carry_out

BY_PERSON = "a person: "
"""What the source of such a word begins with."""
KEY = "conversation_key"
"""The fact of the journal that the names of its conversations are made with."""


@dataclass(frozen=True, slots=True)
class ConsentWord:
    """What somebody says of a recipient of one of our senders: `in` or `out`, and who and why."""

    sender: str
    recipient: str
    state: str
    source: str
    at: str


class ConsentWords:
    """What operators say about consent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def conversation(self, sender: str, recipient: str) -> str:
        """The name of a conversation outside, in which no number can be read: `con_…`."""
        return await self._database.write(_conversation, sender, recipient)

    async def say(self, word: ConsentWord, doing: Doing | None = None) -> None:
        """Write a word, the last one counts. Raises Conflict for `in` to somebody who has left by
        themselves, and for what is so already."""
        await self._database.write(carry_out, doing, _say, word)


def name_of(key: str, conversation: str) -> str:
    """The name of a conversation, made with a key of the journal (hex)."""
    drawn = blake2b(conversation.encode(), key=bytes.fromhex(key), digest_size=15).digest()
    return f"con_{b32encode(drawn).decode().lower()}"


def _conversation(connection: Connection, sender: str, recipient: str) -> str:
    key = get_meta(connection, KEY)
    if not key:
        key = secrets.token_hex(16)
        set_meta(connection, KEY, key)
    return name_of(key, conversation_of(sender, recipient))


def _say(connection: Connection, word: ConsentWord) -> None:
    ours = person(word.sender)
    service = get_meta(connection, SERVICE_OF + ours)
    rows = connection.execute(
        "select state, source, at from consents where recipient = ? and sender in (?, ?) "
        "order by at desc, sender",
        (person(word.recipient), ours, service or ours),
    ).fetchall()
    out = next((row for row in rows if row[0] == "out"), None)
    own = out is not None and not out[1].startswith(BY_PERSON)
    if out is not None and word.state == "in" and own:
        raise Conflict(
            f"they left by themselves ({out[1]}, {out[2]}): only their own START brings them back",
            {"state": "out", "source": out[1]},
        )
    if rows and rows[0][0] == word.state:
        raise Conflict(f"they are {word.state} already", {"state": word.state})
    note(connection, word.sender, word.recipient, word.state, word.source, word.at)
