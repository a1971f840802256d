"""Seeded packages that nobody would write: each is listed, and harms no other."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sys
import time
import zipfile

import pytest
from packages import LASSO as SOURCE

import regplug
from regplug import RegplugError
from regplug.cli import installed
from regplug.discovery.leftovers import find_leftovers
from regplug.discovery.registry import get_entry
from regplug.models import adapters

# what one list, of all that is on the path, may take; seconds
LONGEST = 10.0
SPICE = [
    *"\0\t\n\r\x1b\x85\u2028\u202e\ufeff\ufffd=[]:;#/.,-_~ ()'\"\\@*%",
    "é",
    "一",
    "9" * 5_000,
    "a" * 5_000,
    "[regplug.regularizers]",
    "[regplug.models]",
    "rp_fuzz",
    "Lasso",
    "\n\n",
    "\r\n",
    "Requires-Dist: regplug>=",
    "Name:",
    "extra ==",
]
PIECES = [
    "a" + ".a" * 3_000,
    "'x'" + " + 'x'" * 3_000,
    "-" * 7_000 + "1",
    "(" * 150 + ")" * 150,
    "(" * 300,
    "lambda: " * 4_000 + "1",
    "f'{" * 200,
    "'\\d'",
    "class Lasso: pass",
    "class Lasso(Lasso): '\x1b[31m'",
    "from rp_fuzz import *",
    "from rp_fuzz import Lasso",
    "from . import Lasso",
    "from " + "." * 500 + "a import Lasso",
    "import rp_nowhere",
    "import a" + ".a" * 500,
    "# coding: utf-7",
    "# coding: rot13",
    "# coding: unicode_escape",
    "\x0c\x1a",
    "\ufeff",
    "if 1:\n" + " if 1:\n" * 3,
    "match a:\n case [*_]: pass",
    "def __getattr__(name): 1 / 0",
    "__path__ = []",
    "1_000__0",
    "9" * 5_000,
    "async def f(): await x",
    "\\",
    "'''",
]


class Packages:
    """A folder on the path with packages of a seed."""

    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.folder = folder / str(seed)
        self.folder.mkdir()
        for number in range(self.random.randint(1, 4)):
            self.add(number)

    def spiced(self, text):
        """Change a text here and there, or not."""
        if self.random.random() < 0.5:
            return text.encode()
        for _ in range(self.random.choice([0, 1, 1, 2, 8])):
            at = self.random.randrange(len(text) + 1)
            cut = at + self.random.choice([0, 0, 1, 5])
            text = text[:at] + self.random.choice(SPICE) + text[cut:]
        data = text.encode(self.random.choice(["utf-8"] * 6 + ["utf-16", "utf-8-sig"]))
        if self.random.random() < 0.2:
            at = self.random.randrange(len(data) + 1)
            data = data[:at] + self.random.randbytes(3) + data[at:]
        return data

    def source(self):
        """Return a source that may be none."""
        if self.random.random() < 0.3:
            return self.spiced(SOURCE)
        lines = [*self.random.choices(PIECES, k=self.random.randint(1, 3)), SOURCE]
        self.random.shuffle(lines)
        return "\n".join(lines).encode()

    def add(self, number):
        """Add a package."""
        module = f"rp_fuzz{number}"
        names = ["rp_fuzz", *5 * [module], f"~{module}", f"-{module}", ""]
        name = self.random.choice(names)
        version = self.random.choice([*4 * ["0.1"], "0.2", "", "banana", "1-2"])
        kind = self.random.choice(["dist-info"] * 5 + ["egg-info"])
        info = self.folder / f"{name}-{version}.{kind}"
        if info.exists():
            return
        info.mkdir()
        group = self.random.choice(["regularizers"] * 4 + ["models"])
        values = [f"{module}:Lasso", f"{module}:Lasso.A", f"{module}.a.b:Lasso [x]"]
        value = self.random.choice([*values, values[0], values[0], values[2], "sys:a"])
        points = f"[regplug.{group}]\nfuzz{number} = {value}\nfuzz = {value}\n"
        metadata = f"Name: {name}\nVersion: {version}\nRequires-Dist: regplug>=0.1\n\nx"
        self.write(info / "entry_points.txt", self.spiced(points))
        file = "METADATA" if kind == "dist-info" else "PKG-INFO"
        self.write(info / file, self.spiced(metadata))
        self.add_module(module, nested=".a.b" in value)
        if self.random.random() < 0.1:
            self.zip()

    def add_module(self, module, nested):
        """Add a module: a file, or one in a package or a namespace."""
        if not nested:
            self.write(self.folder / f"{module}.py", self.source())
            return
        inner = self.folder / module / "a"
        inner.mkdir(parents=True, exist_ok=True)
        if self.random.random() < 0.5:
            self.write(inner.parent / "__init__.py", self.source())
        self.write(inner / "b.py", self.source())

    def write(self, path, data):
        """Write a file, or what is none."""
        what = self.random.random()
        if what < 0.9:
            path.write_bytes(data)
        elif what < 0.92:
            path.mkdir()
        elif what < 0.94:
            path.symlink_to(self.random.choice([path, "nowhere", "/dev/zero", "/"]))
        elif what < 0.96 and hasattr(os, "mkfifo"):
            os.mkfifo(path)
        elif what < 0.98:
            path.write_bytes(data * 2_000)

    def zip(self):
        """Put what there is into an archive, and sometimes break that."""
        archive = self.folder / "rp_fuzz.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in self.folder.rglob("*"):
                if path.is_file() and path != archive and path.stat().st_size < 10**6:
                    file.write(path, path.relative_to(self.folder))
        if self.random.random() < 0.3:
            data = bytearray(archive.read_bytes())
            for _ in range(5):
                data[self.random.randrange(len(data))] ^= 255
            archive.write_bytes(bytes(data))


def examine():
    """List all in every form, and ask for each entry as the commands do."""
    entries = regplug.available()
    (fine,) = (entry for entry in entries if entry.package == "rp-fine")
    assert (fine.status, fine.summary, fine.conflicts) == (
        "installed",
        "Sum of the absolute values.",
        (),
    )
    for form in ("", "--names", "--models"):
        installed.print_as(form)
    for entry in [*entries, *adapters.available()]:
        json.dumps([entry.package, entry.version, entry.offer, entry.requirements])
        if entry.static_error:
            assert entry.status in ("broken", "blocked", "incompatible")
        adapters.missing(entry)
    # each looks through all packages
    for entry in entries[:5] + entries[-5:]:
        for name in (entry.names[-1], f"{entry.package}/{entry.name}"):
            with contextlib.suppress(RegplugError):
                get_entry(name)
    find_leftovers()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other names of files")
def test_seeded_packages_harm_no_other(seeds, package, tmp_path, monkeypatch):
    package("rp-fine", {"fine": "rp_fine:Lasso"}, "rp_fine", SOURCE)
    path = list(sys.path)
    for seed in seeds:
        packages = Packages(tmp_path, seed)
        extra = [packages.folder, packages.folder / "rp_fuzz.zip"]
        monkeypatch.setattr(sys, "path", [*map(str, extra), *path])
        before = time.monotonic()
        try:
            examine()
        except BaseException as error:
            raise AssertionError(f"seed {seed}, {packages.folder}") from error
        assert time.monotonic() - before < LONGEST, seed
        assert not [name for name in sys.modules if name.startswith("rp_fuzz")]
        shutil.rmtree(packages.folder)
