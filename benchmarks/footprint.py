"""Footprint of an idle node: `python benchmarks/footprint.py`.

Resident memory of an idle node with this project's rules and plugins: receiver, worker, and the
processes of the plugins; and what `import ringback` takes beyond a bare interpreter.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from nodes import Node, environment, ready, start_node
from servers import HERE, Bench, request_of


def seconds_of(code: str) -> float:
    """How long a fresh interpreter takes for a line of code."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def resident_sets(node: Node) -> dict[str, float]:
    """Resident set by role, in MB, shared pages counted in each process. What descends from the
    worker are plugin processes: the first of them is a fork of it."""
    sizes: dict[str, float] = defaultdict(float)
    for pid in node.pids():
        status = Path(f"/proc/{pid}/status").read_text()
        parent = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("PPid"))
        above = {node.process.pid: "worker"}.get(parent, "plugin processes")
        role = "receiver" if pid == node.process.pid else above
        kilobytes = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmRSS"))
        sizes[role] += kilobytes / 1024
    return sizes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5, help="how long the node is left idle")
    options = parser.parse_args()
    pairs = [(seconds_of("import ringback"), seconds_of("pass")) for _ in range(15)]
    extra = statistics.median(full - bare for full, bare in pairs) * 1000
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-")))
        project = folder / "idle"
        for name in ("rules", "plugins"):
            if (HERE.parent / name).is_dir():
                shutil.copytree(HERE.parent / name, project / name)
        node = start_node(Bench(stack, folder, None), "idle")
        ready(node.port, request_of(1))
        time.sleep(options.seconds)
        sizes = resident_sets(node)
        proportional = node.resident()
    print(f"{environment()}\n")
    for role, size in sizes.items():
        print(f"{role:34} {size:6.0f} MB resident")
    both = sizes["receiver"] + sizes["worker"]
    print(f"{'receiver and worker':34} {both:6.0f} MB resident  (at most 120)")
    print(f"{'all, shared pages once':34} {proportional:6.0f} MB")
    print(f"{'import ringback':34} {extra:6.0f} ms  (at most 60)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
