"""The write-door lint: nothing begins or ends a transaction but `spine/transact.py` (STYLE 1).

Looks at calls of methods named begin, commit, rollback, transaction in every Python file of shared, services and deploy.
The log's own `commit` of offsets is another thing: the files that speak to the log are named here.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {"begin", "begin_nested", "commit", "rollback", "transaction", "start_transaction"}
THE_DOOR = "shared/tenure/spine/transact.py"
SPEAKS_TO_THE_LOG = {
    "shared/tenure/spine/consumer.py",
    "shared/tenure/spine/kafka.py",
    "shared/tenure/spine/kafka_consumer.py",
    "shared/tenure/spine/memory_log.py",
    "shared/tenure/simulation/log.py",
}


def offences(path: Path) -> list[str]:
    """Every forbidden call in a file, as `file:line: what`."""
    name = path.relative_to(ROOT).as_posix()
    if name == THE_DOOR or name in SPEAKS_TO_THE_LOG or "/tests/" in name:
        return []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{name}:{node.lineno}: .{node.func.attr}( outside the write door"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FORBIDDEN
    ]


def main() -> int:
    files = [p for folder in ("shared", "services", "deploy") for p in (ROOT / folder).rglob("*.py")]
    found = [line for path in sorted(files) for line in offences(path)]
    print("\n".join(found) or f"write door: {len(files)} files, every transaction is spine.transact's")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
