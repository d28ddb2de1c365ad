"""The demo on a terminal: a progress bar while the model trains, then a table of what came out."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from numgraph.demo import digits, models, training
from numgraph.demo.models import Program, Setting
from numgraph.text import printable

# How often a line is printed where there is no terminal.
SECONDS_OF_A_LINE = 3.0
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
    said = Steps(console)
    with said:
        program, setting = compiled(options, said)
    compiling = time.perf_counter() - began
    rows = program.rows
    sizes = ", ".join(f"{rows[part]} {text}" for part, text in PARTS.items())
    console.print(f"[bold]{options.model}[/] on {sizes} images; batches of {setting.batch}, step size {setting.rate}")
    if _is_busy():
        console.print("other programs keep the processors busy: the times below are longer than they need be")
    began = time.perf_counter()
    result = _train(program, setting, console)
    console.print(_results(program, result, compiling, time.perf_counter() - began))
    console.print("The generated source of the training step, and a view of it beside the program's own lines:")
    for line in (_source_path(program), f"{_command()} demo --model {options.model} --stage listing"):
        console.print(Text(f"  {printable(line, sys.maxsize)}", style="cyan"), soft_wrap=True)
    return result


class Steps:
    """Says what is being done: a status line on a terminal, lines elsewhere. Within a `with` block."""

    def __init__(self, console: Console) -> None:
        self.console = console
        # the usual spinner is not ASCII
        spinner = "line" if console.options.ascii_only else "dots"
        self.status = console.status("", spinner=spinner) if console.is_terminal else None

    def __enter__(self) -> None:
        if self.status is not None:
            self.status.start()

    def __exit__(self, *error: object) -> None:
        if self.status is not None:
            self.status.stop()

    def __call__(self, text: str) -> None:
        """Say it."""
        if self.status is not None:
            self.status.update(Text(text))
        else:
            self.console.print(Text(text))


def compiled(options: Options, said: Callable[[str], None] = lambda text: None) -> tuple[Program, Setting]:
    """The program of the options, not yet trained, and the setting it is to be trained with."""
    default = models.SETTINGS[options.model]
    setting = Setting(
        batch=options.batch or default.batch,
        rate=default.rate if options.rate is None else options.rate,
        epochs=options.epochs or default.epochs,
        patience=default.patience,
    )
    said("reading the digits" if options.data is None else f"reading {printable(options.data)}")
    data = digits.load(options.data)
    model = models.MODELS[options.model](data.features, data.classes)
    return models.build(model, data, setting.batch, setting.rate, options.target, said), setting


def _train(program: Program, setting: Setting, console: Console) -> training.Progress:
    """Train under a progress bar, whose end moves away while the validation error improves."""
    if not console.is_terminal:
        return _train_on_paper(program, setting, console)
    now = training.Progress()
    # what is said of an epoch, with a bar in what a terminal of 80 columns leaves
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=10), TaskProgressColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=None)
        for now in training.fit(program, setting.epochs, setting.patience, every=0.2):
            bar.update(task, description=_state(now), completed=now.step, total=now.limit)
    return now


def _train_on_paper(program: Program, setting: Setting, console: Console) -> training.Progress:
    """Train where nothing can be overwritten (a file, a pipe): a line after the first epoch, then every few seconds."""
    now, due = training.Progress(), 0.0
    for now in training.fit(program, setting.epochs, setting.patience, every=SECONDS_OF_A_LINE):
        if now.stopped or time.perf_counter() >= due:
            console.print(f"{_state(now)}  step {now.step} of at most {now.limit}", highlight=False)
            due = time.perf_counter() + SECONDS_OF_A_LINE
    return now


def _state(now: training.Progress) -> str:
    errors = f"validation error {now.valid:.2%}, best {now.best:.2%}" if now.best_step else "not yet validated"
    return f"epoch {now.epoch:3d}  cost {now.cost:.4f}  {errors}"


def _results(program: Program, result: training.Progress, compiling: float, seconds: float) -> Table:
    table = Table(title=f"{program.model.name} on handwritten digits", title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_row("test error", f"[bold]{result.test:.2%}[/]")
    table.add_row("validation error, at its best", f"{result.best:.2%} at step {result.best_step}")
    table.add_row("stopped", f"{result.stopped}, step {result.step}, epoch {result.epoch}")
    table.add_row("time per training step", f"{1e6 * result.step_seconds / max(1, result.step):.0f} us")
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


def _is_busy() -> bool:
    """Whether most processors have work already."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.6 * (os.cpu_count() or 1)


def _command() -> str:
    """How this program was called, for a command to be copied: `make demo` runs one that is not on the path."""
    called = Path(sys.argv[0])
    if called.name != "numgraph":
        return "python -m numgraph"
    found = shutil.which("numgraph")
    return "numgraph" if found and Path(found).resolve() == called.resolve() else str(called)


def _source_path(program: Program) -> str:
    return program.train.record.cache_path or f"(none: target {program.train.record.target} runs no generated source)"
