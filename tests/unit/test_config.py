"""Settings: five layers, every problem at once, secrets masked."""

import subprocess
import sys
from pathlib import Path

import pytest

from ringback.config import SETTING_NAMES, Settings
from ringback.errors import ConfigError
from ringback.receiver.requirements import require_serving

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SID = "AC" + "0123456789abcdef" * 2


def problems_of(call: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        call()  # type: ignore[operator]
    return caught.value.problems


def test_defaults_need_no_file(tmp_path: Path) -> None:
    """An empty folder is a project: everything has a default."""
    settings = Settings.load(tmp_path)
    assert (settings.host, settings.port, settings.maton_api_key) == ("127.0.0.1", 8080, "")
    assert settings.data == tmp_path / "data"
    assert set(settings.sources.values()) == {"default"}


def test_layers_win_in_order(tmp_path: Path) -> None:
    """ringback.toml < .env < environment < flags, and each value knows its layer."""
    (tmp_path / "ringback.toml").write_text('port = 1\nhost = "::1"\nsender = "+1"\ndata = "d"\n')
    (tmp_path / ".env").write_text(
        "RINGBACK_PORT=2\nexport RINGBACK_SENDER='+2'\nRINGBACK_DATA=e # c\n"
    )
    settings = Settings.load(tmp_path, {"RINGBACK_PORT": "3", "RINGBACK_DATA": "f"}, {"port": "4"})
    assert (settings.port, settings.data, settings.sender) == (4, tmp_path / "f", "+2")
    assert settings.host == "::1"
    assert settings.sources["port"] == "flag --port"
    assert settings.sources["data"] == "environment RINGBACK_DATA"
    assert settings.sources["sender"] == ".env RINGBACK_SENDER"
    assert settings.sources["host"] == "ringback.toml"


def test_port_is_honoured_after_our_own_name(tmp_path: Path) -> None:
    """PORT counts, RINGBACK_PORT counts more."""
    assert Settings.load(tmp_path, {"PORT": "81"}).port == 81
    assert Settings.load(tmp_path, {"PORT": "81", "RINGBACK_PORT": "82"}).port == 82


def test_rotation_and_further_accounts(tmp_path: Path) -> None:
    """Several tokens are separated by commas; accounts and shared keys are tables."""
    (tmp_path / "ringback.toml").write_text(
        f'[accounts]\n{SID} = ["{TOKEN}", "x{TOKEN}"]\n[shared_keys]\nk1 = "s1"\n'
    )
    settings = Settings.load(tmp_path, {"TWILIO_AUTH_TOKEN": f"{TOKEN}, y{TOKEN}"})
    assert settings.auth_tokens == (TOKEN, f"y{TOKEN}")
    assert settings.accounts == {SID: (TOKEN, f"x{TOKEN}")}
    assert settings.shared_keys == {"k1": "s1"}


def test_mounted_secret(tmp_path: Path) -> None:
    """TWILIO_AUTH_TOKEN_FILE reads a mounted secret; both forms at once are refused."""
    (tmp_path / "secret").write_text(TOKEN + "\n")
    environ = {"TWILIO_AUTH_TOKEN_FILE": "secret"}
    assert Settings.load(tmp_path, environ).auth_tokens == (TOKEN,)
    both = problems_of(lambda: Settings.load(tmp_path, {**environ, "TWILIO_AUTH_TOKEN": TOKEN}))
    assert "both TWILIO_AUTH_TOKEN and TWILIO_AUTH_TOKEN_FILE" in both[0]
    missing = problems_of(lambda: Settings.load(tmp_path, {"TWILIO_AUTH_TOKEN_FILE": "nowhere"}))
    assert "TWILIO_AUTH_TOKEN_FILE: cannot read" in missing[0]


@pytest.mark.parametrize(
    ("dotenv", "environ", "named"),
    [
        ("TWILIO_AUTH_TOKEN=new", {"TWILIO_AUTH_TOKEN": "old"}, ["TWILIO_AUTH_TOKEN"]),
        ("MATON_API_KEY=new", {"MATON_API_KEY_FILE": "key"}, ["MATON_API_KEY"]),
        ("RINGBACK_SENDER=+15005550006", {"RINGBACK_SENDER": ""}, ["RINGBACK_SENDER"]),
        ("TWILIO_AUTH_TOKEN=same", {"TWILIO_AUTH_TOKEN": "same"}, []),
        ("TWILIO_AUTH_TOKEN=new", {"TWILIO_ACCOUNT_SID": SID}, []),
        ("ANYTHING=new", {"ANYTHING": "old"}, []),
    ],
)
def test_a_line_of_dotenv_that_the_environment_hides_is_named(
    tmp_path: Path, dotenv: str, environ: dict[str, str], named: list[str]
) -> None:
    """A container's environment stays as it was made: a new token in the file changes nothing."""
    (tmp_path / ".env").write_text(dotenv)
    (tmp_path / "key").write_text("old")
    notes = Settings.load(tmp_path, environ).notes
    assert [note.split()[1] for note in notes] == named
    assert all("new" not in note and "old" not in note for note in notes)


def test_a_dotenv_of_another_user_is_left_alone_when_the_environment_says_enough(
    tmp_path: Path,
) -> None:
    """What cannot be read is a problem only for who needs it. (Root reads all but a folder.)"""
    (tmp_path / ".env").mkdir()
    settings = Settings.load(tmp_path, {"TWILIO_AUTH_TOKEN": TOKEN})
    assert settings.auth_tokens == (TOKEN,)
    (note,) = settings.notes
    assert note.startswith(".env: cannot read")
    (problem,) = problems_of(lambda: Settings.load(tmp_path, {"PATH": "/bin"}))
    assert problem.startswith(".env: cannot read")


@pytest.mark.parametrize("name", ["RINGBACK_DATA", "RINGBACK_HOST", "PORT"])
def test_a_dotenv_that_cannot_be_read_is_named_beside_what_is_missing_then(
    tmp_path: Path, name: str
) -> None:
    """The image and the unit set one of these themselves; what a node lacks stands in the file."""
    (tmp_path / ".env").mkdir()
    value = "9000" if name == "PORT" else "127.0.0.1"
    settings = Settings.load(tmp_path, {name: value})
    *missing, last = problems_of(lambda: require_serving(settings))
    assert missing
    assert last.startswith(".env: cannot read")


def test_a_lease_is_longer_than_what_is_under_way(tmp_path: Path) -> None:
    """An owner stops sending 5 s before its end."""
    (problem,) = problems_of(lambda: Settings.load(tmp_path, {"RINGBACK_LEASE_SECONDS": "9.5"}))
    assert problem.endswith("lease_seconds is 9.5; it must be 10 seconds at least")


def test_all_problems_at_once(tmp_path: Path) -> None:
    """One run names every wrong value of every layer, with its place."""
    (tmp_path / "ringback.toml").write_text('prot = 1\nsettle_seconds = "soon"\nsimulated = true\n')
    (tmp_path / ".env").write_text("nonsense\nRINGBACK_SENDER='open\n")
    environ = {
        "PORT": "70000",
        "RINGBACK_PUBLIC_URL": "hooks.example.com",
        "TWILIO_AUTH_TOKEN": "a,,b",
        "TWILIO_ACCOUNT_SID": "AC1",
        "RINGBACK_PUBIC_URL": "https://x",
        "RINGBACK_TRUSTED_PROXIES": "proxy",
        "RINGBACK_FALLBACK_TWIML": "<Nope/>",
        "RINGBACK_LOG_FORMAT": "xml",
        "RINGBACK_SIMULATED": "maybe",
        "RINGBACK_QUIET_HOURS": "21-08:61",
        "RINGBACK_QUIET_ZONE": "Europe/Bern",
        "RINGBACK_TOTAL_PER_HOUR": "-1",
        "RINGBACK_SENDER_RATE": "fast",
        "RINGBACK_SEGMENT_PRICE": "nan",
        "RINGBACK_PRICE_PER_DAY": "5 USD",
    }
    text = "\n".join(problems_of(lambda: Settings.load(tmp_path, environ)))
    for part in (
        "ringback.toml:1: unknown setting 'prot'; did you mean 'port'?",
        "ringback.toml:2: settle_seconds is 'soon'",
        "ringback.toml:3: unknown setting 'simulated'",
        ".env:1: expected NAME=value",
        ".env:2: RINGBACK_SENDER: the quote ' is not closed",
        "environment PORT: port is '70000'",
        "public_url is 'hooks.example.com'",
        "auth_tokens has a blank item",
        "account_sid is 'AC1'",
        "unknown variable RINGBACK_PUBIC_URL; did you mean 'RINGBACK_PUBLIC_URL'?",
        "trusted_proxies has 'proxy'",
        "must be a <Response> document, got <Nope>",
        "log_format is 'xml'; it must be text or json",
        "simulated is 'maybe'",
        "quiet_hours is '21-08:61'; write it as 21:00-08:00",
        "quiet_zone is 'Europe/Bern'",
        "total_per_hour is '-1'",
        "sender_rate is 'fast'",
        "segment_price is 'nan'; it must be an amount of money such as 0.0079",
        "price_per_day is '5 USD'",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("ftp://a.b", "whole address"),
        ("https://", "whole address"),
        ("https://a.b/?x=1", "no ?query"),
        ("https://u:p@a.b", "user name or password"),
        ("https://a.b:0", "whole address"),
        ("https://a.b:nope", "whole address"),
    ],
)
def test_bad_public_url(tmp_path: Path, url: str, wrong: str) -> None:
    """The address that signatures are checked against must be exact."""
    assert wrong in problems_of(lambda: Settings.load(tmp_path, {"RINGBACK_PUBLIC_URL": url}))[0]


def test_public_url_loses_its_trailing_slash(tmp_path: Path) -> None:
    """A trailing slash would double the one of the path."""
    settings = Settings.load(tmp_path, {"RINGBACK_PUBLIC_URL": "https://a.b/hook/"})
    assert settings.public_url == "https://a.b/hook"


def test_secrets_are_masked(tmp_path: Path) -> None:
    """Neither repr nor `config show` gives a secret away."""
    environ = {
        "TWILIO_AUTH_TOKEN": TOKEN,
        "RINGBACK_HOOK_SECRET": "h" + TOKEN,
        "RINGBACK_CONSOLE_PASSWORD": "correct horse",
        "RINGBACK_SHARED_KEYS": f"k1={TOKEN}",
        "MATON_API_KEY": "m" + TOKEN,
    }
    settings = Settings.load(tmp_path, environ)
    shown = repr(settings) + str([line.value for line in settings.shown()])
    assert TOKEN not in shown
    assert "correct horse" not in shown
    assert "****e1f0" in shown
    assert [line.name for line in settings.shown()] == list(SETTING_NAMES)


def test_the_password_of_a_database_is_told_to_nobody(tmp_path: Path) -> None:
    """Neither where the settings are shown, nor in what is wrong with them; lines of the log are
    cleaned of it, alone too."""
    url = "postgresql://ringback:p4ssw0rd@a:1,b:2/texts?sslmode=require"
    settings = Settings.load(tmp_path, {"RINGBACK_DATABASE_URL": url})
    assert settings.database_url == url
    assert "p4ssw0rd" not in repr(settings) + str(settings.shown())
    assert {url, "p4ssw0rd"} <= set(settings.secrets())
    wrong = {"RINGBACK_DATABASE_URL": "mysql://ringback:p4ssw0rd@a/texts"}
    (problem,) = problems_of(lambda: Settings.load(tmp_path, wrong))
    assert "postgresql://" in problem
    assert "p4ssw0rd" not in problem


def test_a_database_wants_the_extra(tmp_path: Path) -> None:
    """Without psycopg the setting is refused, with what mends it: a process has none."""
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path; from ringback.config import Settings\n"
        f"Settings.load(Path({str(tmp_path)!r}), {{'RINGBACK_DATABASE_URL': 'postgresql://h/d'}})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install 'ringback[postgres]'" in done.stderr


def test_plugin_tables(tmp_path: Path) -> None:
    """A plugin's table is handed on as it is, with .env and the environment to look names up in."""
    (tmp_path / "ringback.toml").write_text(
        '[plugins.alerts]\nurl = {"$env" = "HOOK"}\nlimit = 3\n'
    )
    (tmp_path / ".env").write_text("HOOK=https://hook\n")
    settings = Settings.load(tmp_path, {"OTHER": "1"})
    assert settings.plugin_config == {"alerts": {"url": {"$env": "HOOK"}, "limit": 3}}
    assert settings.environ == {"HOOK": "https://hook", "OTHER": "1"}
    (tmp_path / "ringback.toml").write_text("plugins = 3\n")
    assert "must be tables" in problems_of(lambda: Settings.load(tmp_path))[0]


def test_serving_needs_proof_address_and_credentials(tmp_path: Path) -> None:
    """What is missing for `serve` comes as one line per problem."""
    text = "\n".join(problems_of(lambda: require_serving(Settings.load(tmp_path))))
    assert "TWILIO_AUTH_TOKEN" in text
    assert "public_url is not set" in text
    assert "no credentials for the gateway" in text


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"TWILIO_AUTH_TOKEN": "short-1"}, "TWILIO_AUTH_TOKEN is too short (7 characters"),
        ({"TWILIO_AUTH_TOKEN": "x" * 32}, "looks like a placeholder"),
        ({"TWILIO_AUTH_TOKEN": "your_auth_token_1234567890abcdef"}, "looks like a placeholder"),
        ({"TWILIO_ACCOUNT_SID": ""}, "TWILIO_ACCOUNT_SID is missing"),
        ({"TWILIO_API_KEY": "SK1"}, "TWILIO_API_SECRET is missing"),
        ({"RINGBACK_HOOK_SECRET": "abc/def.ghi" * 3}, "stands in a path"),
        ({"RINGBACK_HOOK_SECRET": "abcdefg"}, "RINGBACK_HOOK_SECRET is too short"),
        ({"RINGBACK_SIMULATED": "1", "RINGBACK_HOST": "0.0.0.0"}, "loopback only"),
        ({"RINGBACK_PUBLIC_URL": ""}, "public_url is not set"),
        ({"RINGBACK_PRICE_PER_DAY": "5"}, "set RINGBACK_SEGMENT_PRICE"),
        ({"RINGBACK_CONSOLE_PASSWORD": "canary"}, "RINGBACK_CONSOLE_PASSWORD is too short"),
        ({"RINGBACK_API_TOKEN": "canary"}, "RINGBACK_API_TOKEN is too short"),
    ],
)
def test_serving_refuses(tmp_path: Path, change: dict[str, str], wrong: str) -> None:
    """Each thing that would make a node unsafe or useless is refused by name."""
    good = {
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "RINGBACK_PUBLIC_URL": "https://a.b",
    }
    require_serving(Settings.load(tmp_path, good))
    problems = problems_of(lambda: require_serving(Settings.load(tmp_path, good | change)))
    assert len(problems) == 1
    assert wrong in problems[0]
    assert "canary" not in problems[0]


def test_maton_and_hook_secret_need_no_token(tmp_path: Path) -> None:
    """Without the account's token: Maton for the way out, a secret path for the way in."""
    settings = Settings.load(
        tmp_path,
        {
            "MATON_API_KEY": "mk" + TOKEN,
            "RINGBACK_HOOK_SECRET": "s" + TOKEN,
            "RINGBACK_PUBLIC_URL": "https://a.b",
        },
    )
    require_serving(settings)
    assert settings.maton_api_key


def test_child_sees_the_same_settings(tmp_path: Path) -> None:
    """What flags and the environment set reaches a child process through its environment."""
    (tmp_path / "ringback.toml").write_text("port = 5\n")
    (tmp_path / "secret").write_text(TOKEN)
    environ = {"TWILIO_AUTH_TOKEN_FILE": "secret", "PORT": "9", "HOME": "/h"}
    flags = {"port": "0", "simulated": "true", "data": str(tmp_path / "x")}
    parent = Settings.load(tmp_path, environ, flags)
    child_environ = parent.child_environ(environ)
    child = Settings.load(tmp_path, child_environ)
    assert child_environ["HOME"] == "/h"
    for name in SETTING_NAMES:
        assert getattr(child, name) == getattr(parent, name), name


def test_child_reads_the_files_by_itself(tmp_path: Path) -> None:
    """What stands in a file is not frozen into the child's environment; what is fixed is."""
    (tmp_path / "secret").write_text(TOKEN)
    (tmp_path / ".env").write_text("RINGBACK_SENDER=+15550001111\nRINGBACK_DATA=here\n")
    environ = {"TWILIO_AUTH_TOKEN_FILE": "secret"}
    child_environ = Settings.load(tmp_path, environ).child_environ(environ)
    (tmp_path / "secret").write_text(TOKEN.upper())
    (tmp_path / ".env").write_text("RINGBACK_SENDER=+15550002222\nRINGBACK_DATA=there\n")
    child = Settings.load(tmp_path, child_environ)
    assert child.auth_tokens == (TOKEN.upper(),)
    assert child.sender == "+15550002222"
    assert child.data == tmp_path / "here"


def test_what_differs_is_named_and_what_is_fixed_is_kept(tmp_path: Path) -> None:
    """Also a variable that is no setting, which a channel may refer to."""
    old = Settings.load(tmp_path, {"TWILIO_AUTH_TOKEN": TOKEN, "PAGER": "1"})
    new = Settings.load(tmp_path, {"PAGER": "2", "PORT": "81", "TWILIO_AUTH_TOKEN": TOKEN.upper()})
    assert new.differing(old) == ["port", "auth_tokens", "environ"]
    assert new.differing(new) == []
    kept = new.keeping(old)
    assert (kept.port, kept.auth_tokens) == (8080, (TOKEN.upper(),))


def test_empty_variable_hides_lower_layers(tmp_path: Path) -> None:
    """A variable that is set but empty means the default, whatever .env says; so in a child too."""
    (tmp_path / ".env").write_text(f"MATON_API_KEY={TOKEN}\n")
    assert Settings.load(tmp_path).maton_api_key == TOKEN
    assert Settings.load(tmp_path, {"MATON_API_KEY": ""}).maton_api_key == ""
    parent = Settings.load(tmp_path, {}, {"maton_api_key": ""})
    assert Settings.load(tmp_path, parent.child_environ({})).maton_api_key == ""
    assert Settings.load(tmp_path, {"RINGBACK_PORT": "", "PORT": "81"}).port == 81


def test_no_such_folder(tmp_path: Path) -> None:
    """A project that does not exist is named, with the command that makes one."""
    assert "ringback init" in problems_of(lambda: Settings.load(tmp_path / "nowhere"))[0]
