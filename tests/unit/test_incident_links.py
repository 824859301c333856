"""Links of incidents: the key that signs them."""

import stat
from pathlib import Path

import pytest

from ringback.errors import StorageError
from ringback.incident_links import KEY, is_signed, link


def test_a_link_is_for_one_incident_of_one_node(tmp_path: Path) -> None:
    """The key is its owner's alone, and comes from nothing that is public."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    address = link("https://example.org/hooks/", one, "inc_1")
    start, signature = address.rsplit("/", 1)
    assert start == "https://example.org/hooks/incident/inc_1"
    assert stat.S_IMODE((one / KEY).stat().st_mode) == 0o600
    assert is_signed(one, "inc_1", signature)
    for wrong in ("", signature[:-1], signature.upper(), f"{signature}0", "\u00e9"):
        assert not is_signed(one, "inc_1", wrong), wrong
    assert not is_signed(one, "inc_2", signature)
    assert not is_signed(other, "inc_1", signature)


@pytest.mark.parametrize("left", [b"", b"k", b"k" * 31])
def test_a_damaged_key_signs_nothing(tmp_path: Path, left: bytes) -> None:
    """With an empty one everybody could make links."""
    (tmp_path / KEY).write_bytes(left)
    for use in (lambda: link("https://example.org", tmp_path, "inc_1"),
                lambda: is_signed(tmp_path, "inc_1", "0" * 32)):  # fmt: skip
        with pytest.raises(StorageError, match=r"links\.key is damaged: delete it and restart"):
            use()
