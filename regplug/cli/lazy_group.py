"""The commands, each imported when it is used, and how errors reach the user."""

import importlib
import io
import os
import sys
from typing import Any, NoReturn

import click

import regplug
from regplug.errors import RegplugError, did_you_mean
from regplug.output import echo_error, reserve_stdout

COMMANDS = {
    "list": "List the regularizers that are installed.",
    "show": "Show one regularizer: what it does, its options, its formula.",
    "plan": "Show which regularizer touches what in your own model.",
    "doctor": "Load each regularizer, and say what is wrong and what to do.",
    "new": "Write a new package with one regularizer, its tests and all that goes "
    "with it.",
    "check": "Check that a regularizer keeps what all regularizers promise.",
    "demo": "Train a small network on real data, with and without regularizers.",
}

# where it is set, click completes a line
_COMPLETES = "_REGPLUG_COMPLETE"
_EPILOG = """\
\b
Completion of commands, options and names, in a line of a file that the shell reads:
  ~/.bashrc                   eval "$(_REGPLUG_COMPLETE=bash_source regplug)"
  ~/.zshrc                    eval "$(_REGPLUG_COMPLETE=zsh_source regplug)"
  ~/.config/fish/config.fish  _REGPLUG_COMPLETE=fish_source regplug | source
"""


def _block(ctx, option, words):
    from regplug.discovery.entry import block

    for word in words:
        if not word.startswith("no:"):
            raise click.BadParameter(f"{word!r} is not of the form no:NAME.")
        block(word.removeprefix("no:"))


BLOCK = click.Option(
    ["-p"],
    multiple=True,
    metavar="no:NAME",
    expose_value=False,
    is_eager=True,
    callback=_block,
    help="Block a regularizer or a package, before anything is imported. "
    "May be repeated.",
)


def json_flag(*names: str, help: str) -> Any:
    """Return the decorator of an option: standard output is for one JSON text alone."""

    def reserve(ctx, option, is_chosen):
        # completion, which parses in this way, prints to it, too
        if is_chosen and not ctx.resilient_parsing:
            reserve_stdout()
        return is_chosen

    return click.option(*names, is_flag=True, callback=reserve, help=help)


class LazyGroup(click.Group):
    """A group whose commands are ``regplug.cli.NAME``, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; each has the option ``-p no:NAME``."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"regplug.cli.{cmd_name}").command
        if BLOCK not in command.params:
            command.params.append(BLOCK)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command that was typed; suggest one where there is none."""
        hint = did_you_mean(args[0], COMMANDS)
        if args[0] not in COMMANDS and hint and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands for ``--help``, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> Any:
        """Complete the commands, importing none."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        return [CompletionItem(name, help=COMMANDS[name]) for name in names]

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the command line; what click says of an error is shown as all is."""
        options["standalone_mode"] = False
        if _COMPLETES in os.environ:
            importlib.import_module("regplug.cli.completion")
        try:
            sys.exit(super().main(*args, **options))
        except click.Abort:
            echo_error("Aborted!")
        except click.ClickException as error:
            text = io.StringIO()
            error.show(text)
            echo_error(text.getvalue().rstrip("\n"))
            sys.exit(error.exit_code)
        sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of regplug becomes one line and exit code 1.

        One that shows a place in what was typed keeps its lines.
        """
        try:
            return super().invoke(ctx)
        except RegplugError as error:
            text = str(error)
            if not error.has_lines:
                text = " ".join(text.split())
            raise click.ClickException(text) from error
        except (KeyboardInterrupt, EOFError) as error:
            # here, for click would write to a stream that a plugin may have closed
            raise click.Abort from error


@click.group(
    cls=LazyGroup,
    params=[BLOCK],
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(regplug.__version__, message="%(prog)s %(version)s")
def command_line() -> None:
    """Regularizers as plugins, for models that are symbolic graphs of Theano or
    PyTensor.

    Install packages that offer regularizers with pip; compose them by name with
    regplug.compose.
    """
