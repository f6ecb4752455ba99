"""docs/delivery.md promises nothing without a test that shows it, and names no test that is not there."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = (ROOT / "docs/delivery.md").read_text(encoding="utf-8")
PROMISES: Final = PAGE[PAGE.index("## Once") : PAGE.index("## What is not promised")]
SHOWN: Final = re.compile(r"^  - `(?P<file>[^`:]+)::(?P<test>[^`]+)`$", re.MULTILINE)


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.Assign))
    machines = (getattr(node, "name", "") or ast.unparse(node).split(" =")[0] for node in classes)
    return frozenset(f.name for f in functions if f.name.startswith("test_")) | frozenset(machines)


def promises() -> list[str]:
    return [f"- {promise}" for promise in re.split(r"^- ", PROMISES, flags=re.MULTILINE)[1:]]


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise[2:60])
def test_a_promise_names_the_tests_that_show_it(promise: str) -> None:
    shown = [(found["file"], found["test"]) for found in SHOWN.finditer(promise)]
    assert shown, "a promise that no test shows"
    assert not [f"{file}::{test}" for file, test in shown if test not in names_in(file)]


LIMITS: Final = re.findall(r"^\| [^|]+ \| (?P<values>[^|]+) \| (?P<names>`tenure[^|]+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("values", "names"), LIMITS, ids=[names for _, names in LIMITS])
def test_a_limit_is_that_of_the_code(values: str, names: str) -> None:
    assert values == ", ".join(f"{limit(name):,}" for name in re.findall("`([^`]+)`", names))


def limit(name: str) -> float:
    """`module:CONSTANT` or `module:Class.field`."""
    module, _, path = name.partition(":")
    owner, _, field = path.partition(".")
    found = getattr(importlib.import_module(module), owner)
    if not field:
        return found
    if hasattr(found, "model_fields"):
        return found.model_fields[field].default
    return next(f.default for f in msgspec.structs.fields(found) if f.name == field)


def test_the_page_can_be_read_by_this_test() -> None:
    assert len(promises()) > 60
    assert len(LIMITS) > 12
    assert "no_such_test" not in names_in("tests/test_delivery_page.py")
