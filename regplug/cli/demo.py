"""``regplug demo``: a small network on real data, with and without regularizers."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import click


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

    Scikit-learn's handwritten digits, few of them to train on. One training step is compiled, with dropout,
    weight_l2 and hidden_l1; compositions (none, each alone, all) are switched by their weights.
    """
    started = time.perf_counter()
    for module in ("matplotlib", "sklearn"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise click.ClickException(
                f"The demo needs more ({error}): pip install 'regplug[demo]'"
            ) from error
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"--out {out}: {error.strerror}.") from error
    _run(out / "demo.png", seeds, started)


def _run(path: Path, seeds: int, started: float) -> None:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    from regplug.tables import console

    output = console()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=output) as progress:
        compiling = progress.add_task(
            "compiling, which the engine's cache makes quick the next time", total=None
        )
        from regplug.demo import model, report, train

        experiment = train.Experiment(model.function)
        progress.update(
            compiling, description="compiled one training step", total=1, completed=1
        )
        task = progress.add_task(
            "training", total=seeds * len(experiment.compositions) * train.EPOCHS
        )

        def show(composition: str, seed: int) -> None:
            progress.update(task, advance=1, description=f"seed {seed}, {composition}")

        runs = train.train_all(experiment, range(seeds), train.EPOCHS, show)
        progress.update(task, description="trained")
    report.picture(runs, path)
    n_test = len(experiment.images) - train.N_TRAIN
    engine = model.engine
    output.print(
        f"\n{len(experiment.images)} handwritten digits, {train.N_TRAIN} to train and {n_test} to test; "
        f"{train.EPOCHS} epochs, {engine.__name__} {engine.__version__}",
        soft_wrap=True,
    )
    output.print(
        "\nAccuracy in percent and cross-entropy of the clean model after the last epoch, over "
        f"{seeds} seed{'s: mean ± standard deviation' if seeds > 1 else ''}",
        style="bold",
    )
    output.print(report.results(runs))
    output.print(
        "\nPenalty terms, mean over seeds: in the training step; of the clean model at weight 1",
        style="bold",
    )
    output.print(report.penalties(runs))
    output.print("\nWhat matched what", style="bold")
    output.print(report.matches(experiment))
    output.print(
        f"\nPicture: {path}   ({time.perf_counter() - started:.0f} s)", soft_wrap=True
    )
