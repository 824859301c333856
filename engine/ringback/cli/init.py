"""The command `init`: a project folder to start with. What is there already stays as it is."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

import click

_TOML = """\
# Settings of this project. Environment variables and .env win over this file;
# `ringback config show` prints every setting with its source.

# public_url = "https://hooks.your-company.com"   # the address that Twilio calls
# sender = "+15550001111"                         # default From of messages and calls

# One table for each plugin that wants settings:
# [plugins.auto_reply]
"""
_ENV = """\
# Secrets of this project: never commit this file. Fill in one of the two ways to Twilio.

# Direct:
# TWILIO_ACCOUNT_SID=
# TWILIO_AUTH_TOKEN=

# Through Maton, with a secret webhook path in place of the auth token (this one is freshly made):
# MATON_API_KEY=
# RINGBACK_HOOK_SECRET={secret}
"""
_GITIGNORE = ".env\ndata/\n"


def starter() -> Path:
    """Where the starter rules and plugins are: in the wheel, or at the root of a checkout."""
    packaged = Path(__file__).parent / "starter"
    return packaged if packaged.is_dir() else Path(__file__).parents[3]


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--bare", is_flag=True, help="Without the starter rules and plugins.")
def init(folder: Path, bare: bool) -> None:
    """Make a project in FOLDER: settings, starter rules and plugins. Nothing is overwritten.

    Editors complete rule files by rules/rules.schema.json, which it writes too.
    """
    for path, wrote in write_project(folder, {}, bare=bare):
        click.echo(f"{'wrote ' if wrote else 'kept  '} {path}")
    where = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"\nTry it, no account needed: {where}ringback dev", err=True)


def write_project(
    folder: Path, more: Mapping[Path, str], *, bare: bool = False
) -> list[tuple[Path, bool]]:
    """Write the files of a new project, and `more`, below a folder. What is there stays as it is:
    each file comes with whether it was written."""
    from ringback.rules.files.schema import json_schema

    texts = {
        Path("ringback.toml"): _TOML,
        Path(".env"): _ENV.format(secret=secrets.token_urlsafe(32)),
        Path(".gitignore"): _GITIGNORE,
    }
    for name, pattern in (("rules", "*.yaml"), ("plugins", "*.py")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for source in [] if bare else sorted((starter() / name).glob(pattern)):
            texts[Path(name, source.name)] = source.read_text("utf-8")
    texts[Path("rules", "rules.schema.json")] = json.dumps(json_schema(), indent=2) + "\n"
    written = []
    for path, text in {**texts, **more}.items():
        target = folder / path
        missing = not target.exists()
        if missing:
            target.touch(mode=0o600 if path.name == ".env" else 0o644)
            target.write_text(text, "utf-8")
        written.append((path, missing))
    return written
