"""What the pages say to type, the `tenure` command knows: each command, and each option and argument that is told with it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tenure_local import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "services").glob("*/README.md")]
CODE = re.compile(r"^```\w*\n(?P<block>.*?)^```$|`(?P<inline>[^`\n]+)`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[\s/(])tenure (?P<words>[a-z][^\n#|&;)]*)")
MORE = "..."


def told() -> Iterator[str]:
    for page in PAGES:
        for code in CODE.finditer(page.read_text()):
            for found in COMMAND.finditer(code["block"] or code["inline"]):
                yield found["words"].strip()


def what_is_wrong(words: str) -> str:
    """What the command line says to it before it would run. A name alone, or what ends in `...`, need not be whole."""
    args = shlex.split(words)
    command: Any = typer.main.get_command(cli.app)
    while args and args[0] in getattr(command, "commands", {}):
        command = command.commands[args.pop(0)]
    if not args:
        return ""
    if hasattr(command, "commands") and not args[0].startswith("-"):
        return f"no such command: {args[0]}"
    whole = not args[-1].endswith(MORE)
    if args[-1] == MORE and not args[-2].startswith("-"):
        args.pop()
    try:
        command.make_context(command.name, args)
    except Exception as error:  # noqa: BLE001 - its kinds are the library's own
        kind = type(error).__name__
        placeholder = kind == "BadParameter"  # `DATE` stands for a value, and is none
        return "" if placeholder or (kind == "MissingParameter" and not whole) else f"{kind}: {error}"
    return ""


@pytest.mark.parametrize("words", sorted(set(told())))
def test_a_command_that_a_page_tells_is_one(words: str) -> None:
    assert what_is_wrong(words) == ""


@pytest.mark.parametrize(
    "words",
    [
        "simulate earning FILE",
        "tiers --as FILE",
        "frobnicate",
        "parked lists",
        "doctor --loudly",
        "tick --to 2027-01-01 again",
    ],
)
def test_what_is_no_command_is_found(words: str) -> None:
    assert what_is_wrong(words)
