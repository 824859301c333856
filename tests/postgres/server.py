"""One PostgreSQL server of the tests, in a folder of its own, on a port of its own."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from postgres import processes

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
max_connections = 200
max_wal_senders = 10
min_wal_size = 32MB
max_wal_size = 128MB
# mmap: nothing is left over in memory of a server that was killed
dynamic_shared_memory_type = mmap
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %q%a %d '
"""
"""What differs from the defaults; fsync, full_page_writes and synchronous_commit stay on."""

PORTS = range(20000, 32000)
"""Below those that a system hands out by itself: a server that was killed finds its own again."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server by its programs and its folder; whether it runs is known by its files."""

    binaries: Path
    folder: Path
    port: int

    @property
    def data(self) -> Path:
        """What `initdb` calls PGDATA."""
        return self.folder / "data"

    def url(self, database: str = "postgres", port: int = 0) -> str:
        """Where a database of it is, for its superuser; `port`: that of a link to it."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def create_database(self) -> str:
        """The URL of a fresh and empty database."""
        name = f"rb_{uuid.uuid4().hex[:12]}"
        self._command("create database {}", name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._command("drop database if exists {} with (force)", url.rpartition("/")[2])

    def start(self) -> None:
        """Start it, and wait until it answers; after a kill it recovers first."""
        log = self.folder / "log"
        self._control("start", "-w", "-t", "60", "-l", str(log))

    def stop(self, mode: str = "fast") -> None:
        """End it in order, with all connections; `immediate`: without a checkpoint."""
        self._control("stop", "-w", "-t", "60", "-m", mode)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End every process of it at once, as a power cut does."""
        processes.kill(self.data)

    def pause(self) -> None:
        """Freeze every process of it."""
        processes.send(self.data, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        processes.send(self.data, signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether its postmaster is alive."""
        return processes.postmaster(self.data) is not None

    def _control(self, *words: str) -> None:
        run(self.folder, self.binaries / "pg_ctl", "-D", str(self.data), *words)

    def _command(self, text: str, name: str) -> None:
        import psycopg
        from psycopg import sql

        with closing(psycopg.connect(self.url(), autocommit=True)) as connection:
            connection.execute(sql.SQL(text).format(sql.Identifier(name)))


def initialise(binaries: Path, data: Path) -> None:
    """Make the files of a server, to be copied for each that a test starts."""
    words = "--auth=trust --username=postgres --encoding=UTF8 --locale=C --no-sync"
    run(data.parent, binaries / "initdb", *words.split(), "-D", str(data))
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(SETTINGS)


def server(binaries: Path, pristine: Path, folder: Path) -> Server:
    """Start a new server from a copy of files that `initialise` made."""
    own_folder(folder)
    run(folder, "cp", "-a", str(pristine), str(folder / "data"))
    made = Server(binaries, folder, free_port())
    configure(made, f"port = {made.port}\n")
    made.start()
    return made


def configure(server: Server, settings: str) -> None:
    """Write settings, each of which replaces an earlier one, to be read at the next start."""
    with (server.data / "postgresql.conf").open("a") as file:
        file.write(settings)


@contextmanager
def ended(server: Server) -> Iterator[Server]:
    """End a server at the end, whatever state it is in, and remove its files."""
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(server.folder)


def own_folder(folder: Path) -> None:
    """Make a folder that belongs to the account of the servers."""
    folder.mkdir(mode=0o755, exist_ok=True)
    if (name := account()) is not None:
        shutil.chown(folder, name, pwd.getpwnam(name).pw_gid)


def account() -> str | None:
    """Whom servers run as: PostgreSQL refuses to run as root. None: whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def run(folder: Path, program: Path | str, *words: str) -> None:
    """Run a program as the account of the servers; what it says is told when it fails."""
    name = account()
    done = subprocess.run(
        [str(program), *words], cwd=folder, stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        user=name, group=name and pwd.getpwnam(name).pw_gid, extra_groups=name and [],
    )  # fmt: skip
    if done.returncode:
        log = folder / "log"
        tail = log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""
        raise RuntimeError(f"{program} {' '.join(words)}: {done.stdout}{tail}")


def free_port() -> int:
    """A port that nobody listens on."""
    for port in random.sample(PORTS, 100):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")
