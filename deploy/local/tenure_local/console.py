"""How the CLI speaks: progress with rates on anything longer than two seconds, plain lines where nobody watches."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import msgspec
from rich.console import Console
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
    with Progress(*columns, console=err, transient=False, disable=not sys.stderr.isatty()) as bars:
        yield bars


def say(text: str) -> None:
    err.print(f"[dim]·[/dim] {text}")


def print_json(obj: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(obj)).decode() + "\n")


def fail(text: str) -> NoReturn:
    """One line that says what is wrong and what to do, and exit status 1."""
    err.print(f"[red]✗[/red] {text}")
    sys.exit(1)
