"""Writes the gateway's map of paths, each to the service that owns it, from the services' own routers.

`gateway.py` writes deploy/docker/gateway/owners.map; tests/test_containers.py fails when it is out of date. A path is owned by
one service whatever the method, and no path of one service hides another's: both are checked here.
"""

import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any, Final, cast

from fastapi import APIRouter
from tenure import programme
from tenure.edge.http import PREFIX, App
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.transact import Door

ROOT: Final = Path(__file__).resolve().parents[1]
MAP: Final = ROOT / "deploy" / "docker" / "gateway" / "owners.map"
HEAD: Final = (
    "# Written by tools/gateway.py from the services' routers; do not edit. Exact paths win, then the first pattern.\n"
)
_PARAMETER: Final = re.compile(r"\{[^{}]+\}")


def routers(service: Service[Any]) -> list[APIRouter]:
    """A service's routers, built as at start but without a database: building one asks nothing of it."""
    settings = Settings(programme_dir=ROOT / "programme")
    door = Door(service, cast("Any", None), programme.load(settings.programme_dir))
    return list(App(service, door, settings).routers)


def paths_of(service: Service[Any]) -> list[str]:
    """The path patterns a service serves, like /v1/tiers/{member_id}, sorted."""
    return sorted({PREFIX + route.path for router in routers(service) for route in router.routes})  # type: ignore[attr-defined]


def owners(services: tuple[Service[Any], ...]) -> dict[str, str]:
    """Each path pattern and the service that owns it. Raises AssertionError when two services meet on one path."""
    found: dict[str, str] = {}
    for service in services:
        for path in paths_of(service):
            assert found.setdefault(path, service.name) == service.name, f"{path} has two owners"
    for path, name in found.items():
        assert owner_of(_sample(path), found) == name, f"{path} of {name} is hidden by another service's pattern"
    return found


def source_of(path: str) -> str:
    """The left side of a line of nginx' `map`: the path itself, or a pattern with one segment for each parameter."""
    if not _PARAMETER.search(path):
        return path
    return "~^" + "[^/]+".join(re.escape(part) for part in _PARAMETER.split(path)) + "$"


def owner_of(uri: str, found: dict[str, str]) -> str:
    """Who gets a request, as nginx decides it: an exact path first, else the first pattern that matches; "" for nobody."""
    if uri in found:
        return found[uri]
    patterns = ((source_of(path)[1:], name) for path, name in found.items() if source_of(path).startswith("~"))
    return next((name for pattern, name in patterns if re.search(pattern, uri)), "")


def rendered(services: tuple[Service[Any], ...]) -> str:
    blocks = []
    for name, group in groupby(owners(services).items(), key=lambda item: item[1]):
        blocks.append("\n".join(f'"{source_of(path)}" {name};' for path, _ in group))
    return HEAD + 'default "";\n' + "\n\n".join(blocks) + "\n"


def _sample(path: str) -> str:
    return _PARAMETER.sub("X-1", path)


def main() -> int:
    from tenure_local.services import SERVICES

    MAP.write_text(rendered(SERVICES), encoding="utf-8")
    print(f"wrote {MAP.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
