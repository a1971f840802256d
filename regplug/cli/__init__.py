"""The command line: one module a command, imported when the command is used."""

import os
import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] in (["list"], ["list", "--json"], ["list", "--names"]):
        # click alone would take as long as the rest
        _list(*sys.argv[2:])
    else:
        from regplug.cli.lazy_group import command_line

        command_line(prog_name="regplug")


def _list(*form):
    from regplug.cli import installed

    try:
        installed.print_as(*form)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever reads has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
