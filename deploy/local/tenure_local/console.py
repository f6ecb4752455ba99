"""How the CLI speaks: results on standard output, everything else on standard error; text is shown as it stands.

Whatever takes longer than two seconds shows progress: bars with rates on a terminal, a line now and then where nobody watches.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

LINE_EVERY_S: Final = 5.0

out: Final = Console(highlight=False, soft_wrap=True)
err: Final = Console(stderr=True, highlight=False, soft_wrap=True)


class RateColumn(ProgressColumn):
    """How many a second, over the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="cyan")


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars on standard error, so that standard output stays for results."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
    )
    watched = sys.stderr.isatty()
    with Progress(*columns, console=err, transient=False, disable=not watched) as bars:
        if watched:
            yield bars
            return
        ended = threading.Event()
        teller = threading.Thread(target=_tell, args=(bars, ended), daemon=True)
        teller.start()
        try:
            yield bars
        finally:
            ended.set()
            teller.join()


def _tell(bars: Progress, ended: threading.Event) -> None:
    while not ended.wait(LINE_EVERY_S):
        for task in bars.tasks:
            done = f": {task.completed:,.0f}" if task.completed or task.total else ""
            of = f" of {task.total:,.0f}" if task.total else ""
            say(f"{task.description}{done}{of}")


def say(text: str) -> None:
    err.print(f"[dim]·[/dim] {escape(text)}")


def tell(ok: bool, text: str) -> None:
    """A result that holds or does not."""
    out.print(f"{'[green]✓[/green]' if ok else '[red]✗[/red]'} {escape(text)}")


def print_json(obj: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(obj)).decode() + "\n")


def fail(text: str, *, status: int = 1) -> NoReturn:
    """One line that says what is wrong and what to do, and an exit status."""
    err.print(f"[red]✗[/red] {escape(text)}")
    sys.exit(status)


def day(text: str | date) -> date:
    """A day on the command line. Raises BadParameter."""
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day of the calendar, as in 2018-12-31") from None
