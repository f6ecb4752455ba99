"""The seven services, each a process of its own on a port of its own, forked from one process that has everything loaded.

`fleet.py <plan>`: all live in peace until the first line comes in; then each is killed, and each following life lives until what it
is meant to die of (`point:n`). When all deaths are died, one last life goes on, until another line comes in and all end on SIGTERM.
Each life's end is told as a JSON line: [service, death, how it ended, seconds, CPU seconds]. A life that never comes to its point is killed
wherever it is, and its death is put off to the end, once.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from mall import saga
from mall.ports import ledger
from tenure.process import run_until_stopped
from tenure.service import Service
from tenure.settings import load_settings
from tenure.spine import faults
from tenure.telemetry import configure_logging
from tenure_local.services import SERVICES

GATEWAY = "gateway"
BY_NAME = {service.name: service for service in SERVICES}


class Plan(msgspec.Struct):
    """`environments`: by process (a service's name, or `name.2`), what it is started with; `deaths`: what its lives die of, one after another.

    After `fire_s_max` no further life is given a death.
    """

    environments: dict[str, dict[str, str]]
    deaths: dict[str, list[str]]
    life_s_max: int
    fire_s_max: int


class Fleet:
    """The processes, by pid: (name, death, born)."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ahead = {name: list(plan.deaths.get(name, ())) for name in plan.environments}
        self.put_off: set[tuple[str, str]] = set()
        self.alive: dict[int, tuple[str, str, float]] = {}
        self.at_peace, self.stopping = True, False
        self.until = 0.0

    def run(self) -> None:
        for name in self.plan.environments:
            self.next_life(name)
        threading.Thread(target=self.listen, daemon=True).start()
        while self.alive:
            pid, status, used = os.wait4(-1, 0)
            self.ended(pid, status, used.ru_utime + used.ru_stime)

    def next_life(self, name: str) -> None:
        if not self.at_peace and time.monotonic() > self.until:
            self.ahead = {service: [] for service in self.ahead}
        death = self.ahead[name].pop(0) if self.ahead[name] and not self.at_peace else ""
        pid = fork(name, death, self.plan.environments[name], self.plan.life_s_max)
        self.alive[pid] = (name, death, time.monotonic())
        if not (death or self.at_peace or any(self.ahead.values()) or any(d for _, d, _ in self.alive.values())):
            tell("done")

    def ended(self, pid: int, status: int, cpu_s: float) -> None:
        name, death, born = self.alive.pop(pid)
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
        tell([name, death, how, round(time.monotonic() - born, 2), round(cpu_s, 2)])
        if how == "SIGALRM" and (name, death) not in self.put_off:
            self.put_off.add((name, death))
            self.ahead[name].append(death)
        if not self.stopping:
            self.next_life(name)

    def listen(self) -> None:
        """Two lines: peace is over; it is enough."""
        sys.stdin.readline()
        self.until = time.monotonic() + self.plan.fire_s_max
        self.at_peace = False
        self.all_but_the_gateway(signal.SIGKILL)
        sys.stdin.readline()
        self.stopping = True
        for pid in list(self.alive):
            os.kill(pid, signal.SIGTERM)

    def all_but_the_gateway(self, how: signal.Signals) -> None:
        for pid, (name, _, _) in list(self.alive.items()):
            if name != GATEWAY:
                os.kill(pid, how)


def fork(name: str, death: str, environment: Mapping[str, str], life_s_max: int) -> int:
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # nobody outlives the fleet
        os.dup2(2, 1)  # what a process logs is not what the fleet tells
        os.environ.update(environment)
        if death:
            signal.alarm(life_s_max)
            faults.arm(death)
        live(name)
    return pid


def hurry() -> None:
    """An order that a death left behind is taken up after a third of the usual time, so that more deaths fit into a run."""
    vars(saga)["LEASE_S"], vars(ledger)["LEDGER_ANSWER_TIMEOUT_S"] = 5, 4.0


def live(name: str) -> None:
    status = 1
    try:
        settings = load_settings()
        configure_logging(settings)
        hurry()
        services: list[Service[Any]] = list(SERVICES) if name == GATEWAY else [BY_NAME[name.partition(".")[0]]]
        run_until_stopped(services, settings, api=True, worker=name != GATEWAY)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def tell(what: object) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Fleet(msgspec.json.decode(sys.argv[1], type=Plan)).run()
