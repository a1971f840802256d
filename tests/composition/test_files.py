"""Files: written whole or not at all, and read with words where they cannot be."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import regplug
from regplug import CompositionError
from regplug.files import read_whole, write_whole

pytestmark = pytest.mark.skipif(os.name == "nt", reason="of POSIX")

OLD, NEW = b"old\n" * 5000, b"new\n" * 7000


@pytest.fixture
def old(tmp_path):
    """Return a file that is there already."""
    path = tmp_path / "regplug.toml"
    path.write_bytes(OLD)
    return path


def start(script, *words):
    """Start a script in another process."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_file_is_replaced_and_nothing_is_left_beside_it(old):
    write_whole(str(old), NEW)
    assert old.read_bytes() == NEW
    assert list(old.parent.iterdir()) == [old]


def test_file_keeps_permissions_and_new_ones_have_those_of_any_file(old):
    old.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(old, 4321, 1234)
    owner = old.stat().st_uid, old.stat().st_gid
    other = old.with_name("other")
    mask = os.umask(0o027)
    try:
        write_whole(old, NEW)
        write_whole(other, NEW)
    finally:
        os.umask(mask)
    assert (permissions(old), permissions(other)) == (0o604, 0o640)
    assert (old.stat().st_uid, old.stat().st_gid) == owner


def test_link_stays_and_the_file_that_it_leads_to_is_replaced(old):
    folder = old.with_name("folder")
    folder.mkdir()
    link, dangling = folder / "link", folder / "dangling"
    link.symlink_to("../regplug.toml")
    dangling.symlink_to("../made.toml")
    write_whole(link, NEW)
    write_whole(dangling, NEW)
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert old.read_bytes() == old.with_name("made.toml").read_bytes() == NEW
    assert sorted(folder.iterdir()) == [dangling, link]


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_file_stays_whatever_call_fails(old, call, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "open":
        monkeypatch.setattr("builtins.open", fail)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(CompositionError, match="regplug.toml: cannot be written: No "):
        write_whole(old, NEW)
    monkeypatch.undo()
    assert old.read_bytes() == OLD
    assert list(old.parent.iterdir()) == [old]


def test_file_stays_where_the_writer_is_interrupted(old, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(old, NEW)
    assert old.read_bytes() == OLD
    assert list(old.parent.iterdir()) == [old]


def test_file_stays_in_a_folder_that_is_read_only(old, monkeypatch):
    # root may write everywhere: the calls that the system would refuse are refused here
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    manager = regplug.compose(["dropout=0.5"])
    old.parent.chmod(0o500)
    if os.geteuid() == 0:
        monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(CompositionError, match="cannot be written: Permission denied"):
        manager.write(old)
    monkeypatch.undo()
    old.parent.chmod(0o700)
    assert old.read_bytes() == OLD
    assert list(old.parent.iterdir()) == [old]


def test_file_that_is_protected_is_not_replaced(old, monkeypatch):
    old.chmod(0o400)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CompositionError, match="cannot be written: Permission denied"):
        write_whole(old, NEW)
    assert old.read_bytes() == OLD


def test_file_stays_on_a_full_disk(old):
    # a limit of the size of files fails as a full disk does, in the middle of a file
    script = """
        import resource, sys
        from pathlib import Path
        import regplug
        from regplug.files import write_whole

        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        members = [("dropout", {"weight": 0.5, "pattern": ["x" * 900] * 5})] * 5
        manager = regplug.compose(members)
        for write in (manager.write, lambda path: write_whole(path, b"x" * 10_001)):
            try:
                write(sys.argv[1])
            except regplug.CompositionError as error:
                print(error)
    """
    printed, _ = start(script, old).communicate()
    assert printed.count("regplug.toml: cannot be written: File too large. What ") == 2
    assert old.read_bytes() == OLD
    assert list(old.parent.iterdir()) == [old]


MEMBERS = [("dropout", {"weight": 0.5, "pattern": "x" * 900})] * 50


@pytest.mark.parametrize("method", ["write", "save"])
def test_file_is_whole_for_whoever_looks(tmp_path, method):
    path = tmp_path / "file"
    manager = regplug.compose(MEMBERS, seed=1)
    getattr(manager, method)(path)
    size = path.stat().st_size
    script = f"""
        import sys
        import regplug

        manager = regplug.compose({MEMBERS}, seed=1)
        while True:
            for manager._run_state.seed in (1, 2):
                manager.{method}(sys.argv[1])
    """
    writer, looks, found = start(script, path), 0, set()
    while len(found) < 2 or looks < 2000:
        looks += 1
        found.add(path.read_bytes())
    writer.kill()
    writer.communicate()
    assert {len(content) for content in found} == {size}
    assert len(found) == 2


@pytest.mark.parametrize("method", ["write", "save"])
def test_file_is_whole_after_kill_in_the_middle_of_200_writes(tmp_path, method):
    path = tmp_path / "file"
    script = f"""
        import os, random, signal, sys, time
        from pathlib import Path
        import regplug

        path = Path(sys.argv[1])
        manager, found = regplug.compose({MEMBERS}, seed=1), set()
        for number in range(200):
            ready, begun = os.pipe()
            child = os.fork()
            while not child:
                for manager._run_state.seed in (1, 2):
                    manager.{method}(path)
                    os.write(begun, b".")
            os.read(ready, 1)
            time.sleep(random.Random(number).uniform(0, 0.003))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(ready), os.close(begun)
            found.add(path.read_bytes())
        print(len(found), len(list(path.parent.iterdir())) > 1)
    """
    # what was not yet whole stays beside it
    assert start(script, path).communicate()[0] == "2 True\n"
    if method == "write":
        assert len(regplug.read(path).members) == 50
    else:
        regplug.compose(MEMBERS).load(path)


def test_stream_and_device_are_written_as_they_are(tmp_path):
    out = tmp_path / "out"
    script = """
        import regplug
        print("before", flush=True)
        for path in ("/dev/stdout", "/dev/fd/1", "/dev/null"):
            regplug.compose([], seed=3).write(path)
        print("after")
    """
    expected = "before\n" + "format = 2\nseed = 3\n" * 2 + "after\n"
    assert start(script).communicate()[0] == expected
    with out.open("a") as file:
        subprocess.run([sys.executable, "-c", textwrap.dedent(script)], stdout=file)
    assert out.read_text() == expected


@pytest.mark.parametrize("path", [None, 3, True, "", b"", ["x"], object()])
def test_path_that_is_none_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manager = regplug.compose([])
    for call in (manager.write, manager.save, manager.load, regplug.read):
        with pytest.raises(CompositionError, match="is no path: write a text such as"):
            call(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "written", "read"),
    [
        ("a\0b", "null (byte|character)", "null (byte|character)"),
        ("a\ud800", "surrogates not allowed", "surrogates not allowed"),
        ("folder", "directory", "directory"),
        ("none/x", "No such file", "No such file"),
        ("loop", "symbolic links", "symbolic links"),
        ("file/x", "Not a directory", "Not a directory"),
        ("x" * 300, "name too long", "name too long"),
        ("/dev/full", "No space left", "no file"),
    ],
)
def test_path_that_leads_nowhere_is_refused(path, written, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_bytes(OLD)
    Path("loop").symlink_to("loop")
    names = sorted(tmp_path.iterdir())
    manager = regplug.compose([])
    for call in (manager.write, manager.save):
        with pytest.raises(CompositionError, match=rf"cannot be written: .*{written}"):
            call(path)
    for call in (manager.load, regplug.read):
        with pytest.raises(CompositionError, match=rf"cannot be read: .*{read}"):
            call(path)
    assert sorted(tmp_path.iterdir()) == names
    assert Path("file").read_bytes() == OLD


def test_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CompositionError, match="it is a device or a pipe, and no file"):
        read_whole(tmp_path / "pipe")


def test_pipe_of_the_process_is_read(tmp_path):
    script = """
        import regplug
        regplug.compose(["dropout=0.5"], seed=3).write("/dev/stdout")
        print(repr(regplug.read("/dev/stdin")))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, input="seed = 9", capture_output=True, text=True)
    assert done.stdout.endswith("<regplug.Manager of nothing, seed 9>\n"), done.stderr


def test_file_that_is_longer_than_a_composition_is_not_read(tmp_path):
    path = tmp_path / "long.toml"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(
        CompositionError, match="cannot be read: it is longer than 2097"
    ):
        regplug.read(path)


@pytest.fixture
def odd(package):
    """Return a function that composes a regularizer of a package, whose options take anything."""
    source = """
from typing import Any
from regplug import Regularizer, hookimpl

class Odd(Regularizer):
    text: str = ""
    größe: Any = None

    @hookimpl
    def loss(self, matched):
        return 0
"""
    package("rp-odd", {"odd": "rp_odd:Odd"}, "rp_odd", source)
    return lambda **options: regplug.compose([("odd", {"weight": 1, **options})])


def deep(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("text", "a\ud800"),
        ("pattern", ["a", "\udcff*"]),
        ("name", "\ud800"),
        ("größe", object()),
        ("größe", [None]),
        ("größe", deep(10_000)),
        ("größe", [10**5000]),
    ],
)
def test_what_no_file_can_hold_is_refused_by_option_before_anything_is_touched(
    odd, old, option, value
):
    with pytest.raises(
        CompositionError, match=f"{option}.* is nothing that a TOML fil"
    ):
        odd(**{option: value}).write(old)
    assert old.read_bytes() == OLD
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize(
    "value",
    [
        float("inf"),
        1e16,
        [True, [1.5, {"a b": [{"ü": "\x7f\u2028"}], "\ud7ff": {}}]],
        {"schedule": 1, "": 2},
        -(10**30),
    ],
)
def test_what_a_file_can_hold_is_read_as_it_was_written(odd, tmp_path, value):
    odd(größe=value).write(tmp_path / "odd.toml")
    (member,) = regplug.read(tmp_path / "odd.toml").members
    assert vars(member.regularizer)["größe"] == value
