"""``regplug demo``: a small network on real data, with and without regularizers."""

import os
import time
from pathlib import Path

import click
from rich.progress import track

from regplug.discovery.vocabulary import install_advice
from regplug.tables import console

_COMPILING = "compiling, which the engine's cache makes quick next time"


@click.command("demo")
@click.option(
    "--out",
    metavar="DIR",
    default="regplug-demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the picture.",
)
@click.option(
    "--seeds",
    metavar="N",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="How many seeds: each has its own training images, initial weights and noise.",
)
def command(out: Path, seeds: int) -> None:
    """Train a small network on real data, with and without regularizers.

    Scikit-learn's handwritten digits, few of them to train on. One training step is
    compiled, with dropout, weight_l2 and hidden_l1; compositions (none, each alone,
    all) are switched by their weights.
    """
    started = time.perf_counter()
    # the picture needs no window, and a notebook's backend is not for its shell
    os.environ.pop("MPLBACKEND", None)
    try:
        from regplug.demo import model, report, train
    except ImportError as error:
        raise click.ClickException(
            f"The demo needs more ({error}): {install_advice('regplug[demo]')}"
        ) from error
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"--out {out}: {error.strerror}.") from error
    output = console()
    with output.status(_COMPILING, spinner="line"):
        experiment = train.Experiment(model.function)
    training = train.run_all(experiment, range(seeds), train.EPOCHS)
    n_runs = seeds * len(experiment.compositions)
    runs = list(track(training, "training", n_runs, console=output))
    output.print(f"\n{experiment}")
    for title, table in report.tables(runs, experiment).items():
        output.print(f"\n{title}", style="bold")
        output.print(table)
    report.draw(runs, out / "demo.png")
    seconds = time.perf_counter() - started
    output.print(f"\nPicture: {out / 'demo.png'}   ({seconds:.0f} s)")
