"""Media items of a message, kept as names: the simulator fetches nothing by itself."""

from ringback.simulator.records import Media, Message
from ringback.simulator.world import World

MEDIA_TYPES = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif",
    "mp3": "audio/mpeg", "wav": "audio/wav", "mp4": "video/mp4", "pdf": "application/pdf",
    "vcf": "text/vcard", "txt": "text/plain",
}  # fmt: skip


def attach(world: World, message: Message, source: str) -> Media:
    """Hang a media item on a message. Its type is read from the address's ending."""
    ending = source.rpartition(".")[2].lower()
    record = world.media.add(
        Media(
            **world.stamps("ME", message.account_sid),
            parent_sid=message.sid,
            content_type=MEDIA_TYPES.get(ending, "image/jpeg"),
            source=source,
        ),
        parent=message.sid,
    )
    message.media.append(record.sid)
    return record
