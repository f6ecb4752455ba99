"""What a PromQL expression asks for: each series with the labels it is matched by, and the labels it is grouped by."""

import re
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"\b((?:tenure|process|python)_\w+|up|ALERTS)\b(?!\s*\()(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
_GROUPING: Final = re.compile(r"\b(?:by|on|group_left|group_right)\s*\(([^)]*)\)")


class Selector(NamedTuple):
    name: str
    matchers: tuple[tuple[str, str, str], ...]

    @property
    def labels(self) -> set[str]:
        return {label for label, _, _ in self.matchers}


def selectors(expr: str) -> list[Selector]:
    return [
        Selector(name, tuple((m[1], m[2], m[3]) for m in _MATCHER.finditer(inside or "")))
        for name, inside in _NAME.findall(expr)
    ]


def grouped_by(expr: str) -> set[str]:
    return {label.strip() for inside in _GROUPING.findall(expr) for label in inside.split(",") if label.strip()}
