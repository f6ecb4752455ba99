"""One process of the embedded platform: `python -m tenure_local.node gateway | worker`, all seven services in it.

The gateway serves every service's REST API on one port; the worker runs their consumers, relays and due work. In production
each service is a process of its own (`python -m points_ledger all`); nothing else differs.
"""

import sys

from tenure.process import run_until_stopped
from tenure.settings import Settings
from tenure.telemetry import configure_logging

from tenure_local.services import SERVICES

ROLES = ("gateway", "worker")


def main() -> None:
    role = sys.argv[1] if len(sys.argv) > 1 else ""
    if role not in ROLES:
        sys.exit(f"usage: python -m tenure_local.node {' | '.join(ROLES)}")
    settings = Settings()
    configure_logging(settings)
    run_until_stopped(list(SERVICES), settings, api=role == "gateway", worker=role == "worker")


if __name__ == "__main__":
    main()
