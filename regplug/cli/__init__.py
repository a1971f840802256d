"""The command line: one module a command, imported when the command is used."""

import sys

from regplug.output import own_streams, reserve_stdout


def main() -> None:
    """Run the command line."""
    words = sys.argv[1:]
    with own_streams():
        if words in (["list"], ["list", "--json"], ["list", "--names"]):
            # click alone would take as long as the rest
            from regplug.cli import installed

            if "--json" in words:
                reserve_stdout()
            installed.print_as(*words[1:])
        else:
            from regplug.cli.lazy_group import command_line

            command_line(prog_name="regplug")
