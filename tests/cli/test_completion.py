"""Completion in shells: commands, options, names, and the short form; once in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time

import pytest

from regplug.cli.completion import complete_short, complete_value

BREAKS = " \t\n\"'@><=;|&(:"


@pytest.fixture
def complete(run, monkeypatch):
    """Return a function that completes a line as the script for bash does."""

    def complete(line, part=None):
        monkeypatch.setenv("_REGPLUG_COMPLETE", "bash_complete")
        words = {
            "COMP_WORDS": line,
            "COMP_NAME": "regplug",
            "COMP_BREAKS": BREAKS,
            "COMP_PART": line.rpartition(" ")[2] if part is None else part,
        }
        for name, value in words.items():
            monkeypatch.setenv(name, value)
        items = run().output.splitlines()
        return [item.removeprefix("plain,") for item in filter(None, items)]

    return complete


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("regplug do", ["doctor"]),
        ("regplug show max", ["max_norm"]),
        ("regplug show --json weight_d", ["weight_decay"]),
        ("regplug check regplug-wei", ["regplug-weights"]),
        ("regplug doctor dropout max_n", ["max_norm"]),
        ("regplug -p no:max", ["max_norm"]),
        ("regplug list --json --na", ["--names"]),
        ("cd there && regplug show max", ["max_norm"]),
        ("regplug shwo max", []),
        ("regplug show no_such_name", []),
    ],
)
def test_completion_knows_commands_options_names_and_packages(complete, line, expected):
    assert complete(line) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dropou", ["dropout", "dropout(", "dropout=", "dropout@"]),
        ("dropout(sh", ["dropout(shared_axes="]),
        ("max_norm(limit=3, no", []),
        ("max_norm(limit=3, na", ["max_norm(limit=3, name="]),
        ("max_norm(limit=3)", ["max_norm(limit=3)=", "max_norm(limit=3)@"]),
        ("weight_l1(reduc", ["weight_l1(reduction="]),
        ("dropout=0.5", ["dropout=0.5@"]),
        ("dropout=0.5@@h", ["dropout=0.5@@hidden"]),
        (
            "dropout=0.5@",
            [f"dropout=0.5@@{role}" for role in ("hidden", "input", "output")],
        ),
        ("weight_l2@", []),
        ("no_such(", []),
    ],
)
def test_completion_of_the_short_form_goes_on_where_it_stands(text, expected):
    assert complete_short(text) == expected
    assert complete_value(["plan", "-r"], text) == expected


def test_completion_in_bash_gives_what_follows_the_last_break_outside_quotes(complete):
    assert complete("regplug plan -r dropout=0.5@@h", "h") == ["@hidden"]
    assert complete("regplug plan -r dropout=0.5", "0.5") == ["0.5@"]
    line = "regplug plan -r 'max_norm(limit=3, na"
    assert complete(line, "'max_norm(limit=3, na") == ["max_norm(limit=3, name="]


def test_completion_leaves_out_names_that_a_terminal_would_obey(package, source):
    package("rp-odd", {"odd\x1b]2;x": "rp_odd:Odd"}, "rp_odd", source("Odd"))

    assert complete_short("odd") == []


@pytest.mark.parametrize("words", ["plan -r dro", "show dro", "do"])
def test_completion_of_a_name_imports_no_command_no_plugin_and_no_numpy(words):
    code = (
        "import sys; from regplug.cli import main; sys.argv[1:] = []\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'rich', 'regplug_noise', 'regplug.cli.plan', 'regplug.cli.show'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))"
    )
    words = {
        "_REGPLUG_COMPLETE": "zsh_complete",
        "COMP_WORDS": f"regplug {words}",
        "COMP_CWORD": str(len(words.split())),
    }

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=True,
    )

    *items, imported = done.stdout.splitlines()
    assert {"dropout", "doctor"} & set(items)
    assert imported == "imported: []"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_a_script_for_each_shell(run, monkeypatch, shell):
    monkeypatch.setenv("_REGPLUG_COMPLETE", f"{shell}_source")

    script = run().output

    assert f"_REGPLUG_COMPLETE={shell}_complete" in script
    assert f"_REGPLUG_COMPLETE={shell}_source" in run_help(run, monkeypatch)


def run_help(run, monkeypatch):
    monkeypatch.delenv("_REGPLUG_COMPLETE")
    return run("--help").output


def typed_in_bash(lines, folder):
    """Type lines into an interactive bash, each with a tab; return what they become."""
    import pty
    import select

    pid, terminal = pty.fork()
    if pid == 0:
        path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "TERM": "dumb", "INPUTRC": os.devnull}
        os.chdir(folder)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], env)

    def read_until(text, seconds=30):
        seen, end = "", time.monotonic() + seconds
        while text not in seen and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 65536).decode(errors="replace")
        assert text in seen, seen

    setup = 'eval "$(_REGPLUG_COMPLETE=bash_source regplug)"; echo rea""dy\n'
    os.write(terminal, setup.encode())
    read_until("ready\r\n")
    for number, line in enumerate(lines):
        # to the front of the line, so that it is written down and not run
        front, end = "\x01", "\x05"
        text = f'{line}\t{front}echo {end} >> typed; echo do""ne{number}\n'
        os.write(terminal, text.encode())
        read_until(f"done{number}\r\n")
    os.write(terminal, b"exit\n")
    os.waitpid(pid, 0)
    os.close(terminal)
    return (folder / "typed").read_text().splitlines()


@pytest.mark.skipif(
    not shutil.which("bash") or os.name == "nt", reason="bash is missing"
)
def test_completion_works_in_bash(tmp_path):
    lines = [
        "regplug sho",
        "regplug show max_n",
        "regplug plan -r dropout=0.5@@hid",
        "regplug plan -r 'max_norm(lim",
        "regplug list --na",
    ]

    assert typed_in_bash(lines, tmp_path) == [
        "regplug show",
        "regplug show max_norm",
        "regplug plan -r dropout=0.5@@hidden",
        "regplug plan -r max_norm(limit=",
        "regplug list --names",
    ]
