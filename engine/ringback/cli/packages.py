"""Packages that offer plugins and are not listed in the settings, so that nothing of them loads."""

from importlib.metadata import entry_points

from ringback.config import Settings
from ringback.plugins.candidates import GROUP


def unlisted_packages(settings: Settings) -> list[str]:
    """A sentence with the mend for each plugin that is installed and not listed."""
    listed = ", ".join(f'"{name}"' for name in settings.entry_points)
    found = []
    for point in entry_points(group=GROUP):
        if point.name not in settings.entry_points:
            package = point.dist.name if point.dist else "an installed package"
            names = ", ".join(filter(None, (listed, f'"{point.name}"')))
            found.append(
                f"{package} offers the plugin {point.name!r}, which is not listed; to load it "
                f"write entry_points = [{names}] in ringback.toml"
            )
    return sorted(found)
