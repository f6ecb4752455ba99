"""Cuts the example out of the whole motor portfolio: 1,000 policies, evenly spaced by their number, with all their rows.

python tools/excerpt.py FOLDER_OF_THE_WHOLE_PORTFOLIO examples/motor-portfolio
"""

import csv
import gzip
import sys
from pathlib import Path

POLICIES = 1_000


def cut(source: Path, target: Path) -> tuple[int, int]:
    """Returns how many policy rows and claim rows were written."""
    policies, claims = _rows(source / "policies.csv.gz"), _rows(source / "claims.csv.gz")
    ids = sorted({row["ID"] for row in policies}, key=int)
    kept = {ids[n * len(ids) // POLICIES] for n in range(POLICIES)}
    return (
        _write(target / "policies.csv.gz", [r for r in policies if r["ID"] in kept]),
        _write(target / "claims.csv.gz", [r for r in claims if r["ID"] in kept]),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def _write(path: Path, rows: list[dict[str, str]]) -> int:
    # A fixed time in the header, so that the same rows always give the same file.
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
        lines = [";".join(rows[0]), *(";".join(row.values()) for row in rows)]
        packed.write(("\n".join(lines) + "\n").encode())
    return len(rows)


if __name__ == "__main__":
    print("wrote {} policy rows and {} claim rows".format(*cut(Path(sys.argv[1]), Path(sys.argv[2]))))
