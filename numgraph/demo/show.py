"""The demo on a terminal: a progress bar while the model trains, then a table of what came out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from numgraph.demo import digits, models, training
from numgraph.demo.models import Program, Setting

PARTS = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class Options:
    """What to train and how; None takes the model's default from `models.SETTINGS`."""

    model: str = "logreg"
    batch: int | None = None
    rate: float | None = None
    epochs: int | None = None
    data: Path | None = None
    target: str | None = None


def run(options: Options, console: Console) -> training.Progress:
    """Train, showing the progress and then the results; returns where training ended.

    FileNotFoundError or ValueError for data that cannot be read.
    """
    began = time.perf_counter()
    with console.status("compiling the training step, the validation and the test"):
        program, setting = compiled(options)
    compiling = time.perf_counter() - began
    rows = program.rows
    sizes = ", ".join(f"{rows[part]} {text}" for part, text in PARTS.items())
    console.print(f"[bold]{options.model}[/] on {sizes} images; batches of {setting.batch}, step size {setting.rate}")
    began = time.perf_counter()
    result = _train(program, setting, console)
    console.print(_results(program, result, compiling, time.perf_counter() - began))
    console.print("The generated source of the training step, and a view of it beside the program's own lines:")
    console.print(f"  {_source_path(program)}", style="cyan", soft_wrap=True)
    console.print(f"  numgraph demo --model {options.model} --stage listing", style="cyan", soft_wrap=True)
    return result


def compiled(options: Options) -> tuple[Program, Setting]:
    """The program of the options, not yet trained, and the setting it is to be trained with."""
    default = models.SETTINGS[options.model]
    setting = Setting(
        batch=options.batch or default.batch,
        rate=default.rate if options.rate is None else options.rate,
        epochs=options.epochs or default.epochs,
        patience=default.patience,
    )
    data = digits.load(options.data)
    model = models.MODELS[options.model](data.features, data.classes)
    return models.build(model, data, setting.batch, setting.rate, options.target), setting


def _train(program: Program, setting: Setting, console: Console) -> training.Progress:
    """Train under a progress bar, whose end moves away while the validation error improves."""
    now = training.Progress()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=None)
        for now in training.fit(program, setting.epochs, setting.patience):
            said = f"epoch {now.epoch:3d}  cost {now.cost:.4f}  validation error {now.valid:6.2%}, best {now.best:6.2%}"
            bar.update(task, description=said, completed=now.step, total=now.limit)
    return now


def _results(program: Program, result: training.Progress, compiling: float, seconds: float) -> Table:
    table = Table(title=f"{program.model.name} on handwritten digits", title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_row("test error", f"[bold]{result.test:.2%}[/]")
    table.add_row("validation error, at its best", f"{result.best:.2%} at step {result.best_step}")
    table.add_row("stopped", f"{result.stopped}, step {result.step}, epoch {result.epoch}")
    table.add_row("time per training step", f"{1e6 * result.step_seconds / max(1, result.step):.0f} µs")
    table.add_row("training, with validation", f"{seconds:.1f} s")
    table.add_row("reading the data and compiling", f"{compiling:.1f} s")
    for name, value in _memory(program):
        table.add_row(name, value)
    return table


def _memory(program: Program) -> list[tuple[str, str]]:
    """What the training step keeps resident and what it copies, from its own counters."""
    stats = program.train.stats
    calls = max(1, stats.calls)
    resident = program.train.record.resident_bytes
    return [
        ("resident in the training step", f"{resident / 1e6:.1f} MB"),
        ("copied in, per step", f"{stats.bytes_in / calls:.0f} bytes"),
        ("copied out, per step", f"{stats.bytes_out / calls:.0f} bytes"),
    ]


def _source_path(program: Program) -> str:
    return program.train.record.cache_path or f"(none: target {program.train.record.target} runs no generated source)"
