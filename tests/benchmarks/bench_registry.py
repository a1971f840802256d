"""Measure the registry with 1,000 installed distributions, 200 of which offer a regularizer.

    python tests/benchmarks/bench_registry.py [--json FILE] [--repeats N]

The distributions are made in a temporary folder that stands first on the path. Every time is that of a whole
process, ours and the peer's in turn: processor time (user and system), which other work on the machine
disturbs least, and elapsed time. Each row is a ratio: ours over the peer's. stevedore has a row where it is installed;
it keeps what it finds in a cache on disk, which the first, unmeasured round fills.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

import regplug

DISTRIBUTIONS, OFFERING = 1000, 200
MODULE = '''"""Regularizer number {number}."""

from regplug import Regularizer, hookimpl


class Penalty{number}(Regularizer):
    """Penalize the absolute values, number {number}.

    Notes
    -----
    ``sum abs(w)``.
    """

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum(abs(w).sum() for w in matched.values())
'''

OURS = {
    "list --names": ["-m", "regplug", "list", "--names"],
    "list": ["-m", "regplug", "list"],
    "compose two": [
        "-c",
        "import regplug; regplug.compose([('penalty7', 0.1), ('penalty123', 0.1)])",
    ],
}
PEERS = {
    "entry_points": ["-c", "import importlib.metadata as m; m.entry_points(group='x')"],
    "pluggy, load_setuptools_entrypoints": [
        "-c",
        "import os, pluggy; manager = pluggy.PluginManager('regplug')\n"
        # pluggy stops at the second name of one object
        "for name in os.environ['BENCH_ALIASES'].split(): manager.set_blocked(name)\n"
        "manager.load_setuptools_entrypoints('regplug.regularizers')",
    ],
    "stevedore, ExtensionManager": [
        "-c",
        "import stevedore; print(len(stevedore.ExtensionManager('regplug.regularizers').names()))",
    ],
}
PAIRS = [  # ours, peer, the ratio of processor times that is the target
    ("list --names", "entry_points", 1.5),
    ("list --names", "pluggy, load_setuptools_entrypoints", None),
    ("list --names", "stevedore, ExtensionManager", None),
    ("list", "entry_points", None),
    ("list", "pluggy, load_setuptools_entrypoints", None),
    ("compose two", "pluggy, load_setuptools_entrypoints", None),
]
LIST_TARGET = 500  # ms, elapsed, `regplug list` with summaries


def install(folder):
    """Make the distributions, as pip leaves them."""
    description = (
        "A paragraph of the long description that metadata carries along.\n" * 60
    )
    for number in range(DISTRIBUTIONS):
        offers = number < OFFERING
        info = folder / f"bench_package_{number}-1.{number}.dist-info"
        info.mkdir()
        requires = ["numpy>=1.20", "regplug>=0.1" if offers else "requests"]
        head = [
            "Metadata-Version: 2.1",
            f"Name: bench-package-{number}",
            f"Version: 1.{number}",
        ]
        head += [f"Requires-Dist: {each}" for each in requires]
        (info / "METADATA").write_text("\n".join(head) + "\n\n" + description)
        points = (
            ["[console_scripts]", f"bench-{number} = bench_package_{number}:main"]
            if number % 2
            else []
        )
        if offers:
            points += [
                "[regplug.regularizers]",
                f"penalty{number} = bench_package_{number}:Penalty{number}",
            ]
            (folder / f"bench_package_{number}.py").write_text(
                MODULE.format(number=number)
            )
        if points:
            (info / "entry_points.txt").write_text("\n".join(points) + "\n")


def run(words, environment):
    """Return the processor and the elapsed time of a whole process, in ms."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *words], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    elapsed, after = (
        time.perf_counter() - start,
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e3 * used, 1e3 * elapsed


def measure(pairs, environment, repeats):
    """Yield a row for each pair of commands, timed in turn."""
    for ours, peer, target in pairs:
        times = []
        for _ in range(
            repeats + 1
        ):  # the first round fills the caches, and does not count
            times.append((run(OURS[ours], environment), run(PEERS[peer], environment)))
        times = times[1:]
        yield {
            "row": f"regplug {ours} / {peer}"
            if ours != "compose two"
            else f"{ours} / {peer}",
            "target": target,
            "ratios": [one[0] / other[0] for one, other in times],
            "elapsed_ratios": [one[1] / other[1] for one, other in times],
            "ms": [
                statistics.median(each[side][0] for each in times) for side in (0, 1)
            ],
            "elapsed_ms": [
                statistics.median(each[side][1] for each in times) for side in (0, 1)
            ],
        }


def plugin_modules(environment):
    """Return how many plugin modules composing two regularizers imports."""
    count = "import sys; print(sum(name.startswith('bench_package_') for name in sys.modules))"
    code = f"{OURS['compose two'][1]}; {count}"
    return int(
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            capture_output=True,
        ).stdout
    )


def show(rows):
    times = ("ours, ms", "peer, ms", "ours, elapsed", "peer, elapsed")
    table = Table("row", "min", "median", "max", *times, "target", "met")
    for row in rows:
        middle, target = statistics.median(row["ratios"]), row["target"]
        met = "" if target is None else "yes" if middle <= target else "no"
        ratios = [
            f"{value:.2f}" for value in (min(row["ratios"]), middle, max(row["ratios"]))
        ]
        times = [f"{value:.0f}" for value in (*row["ms"], *row["elapsed_ms"])]
        table.add_row(
            row["row"], *ratios, *times, "" if target is None else f"{target:g}", met
        )
    Console(width=160).print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    parser.add_argument(
        "--repeats", type=int, default=11, help="pairs of processes a row"
    )
    options = parser.parse_args()
    pairs = [
        pair
        for pair in PAIRS
        if importlib.util.find_spec(pair[1].partition(",")[0])
        or pair[1] == "entry_points"
    ]
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder))
        environment = os.environ | {
            "PYTHONPATH": folder,
            "XDG_CACHE_HOME": str(Path(folder) / "cache"),
        }
        environment["BENCH_ALIASES"] = " ".join(
            alias for entry in regplug.available() for alias in entry.aliases
        )
        rows = list(
            track(
                measure(pairs, environment, options.repeats), "pairs", total=len(pairs)
            )
        )
        imported = plugin_modules(environment)
    show(rows)
    row = next(row for row in rows if row["row"].startswith("regplug list /"))
    used, listing = row["ms"][0], row["elapsed_ms"][0]
    met = "met" if listing <= LIST_TARGET else "not met"
    print(
        f"regplug list with summaries: {used:.0f} ms of processor time, {listing:.0f} ms elapsed."
    )
    print(
        f"The target of {LIST_TARGET} ms elapsed is {met}; the load of the machine is {os.getloadavg()[0]:.1f}."
    )
    print(f"Composing two regularizers imports {imported} plugin modules.")
    if options.json:
        where = {"python": platform.python_version()}
        where |= {
            name: importlib.metadata.version(name) for name in ("regplug", "pluggy")
        }
        figures = {
            **where,
            "list_ms": listing,
            "plugin_modules_of_two": imported,
            "rows": rows,
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
