"""What `tenure verify statement` says of a file: what it proves, up to which entry, and why it refuses one."""

from datetime import date
from pathlib import Path

import msgspec
import pytest
from points_ledger.proof import entries as e
from points_ledger.proof import merkle, statement

from .test_words import tenure

DAY = date(2026, 3, 1)
EARNED = dict.fromkeys(e.ENTRY) | {"wallet": "points", "debit": "issuance", "credit": "available", "member_id": "M-1"}


def file_of(numbers: range) -> statement.ProvenStatement:
    """A member's entries of 100 points each, of which these are shown: each in a seal of its own, all of one day."""
    rows = [list((EARNED | {"seq": n, "transfer_no": n, "amount": 100}).values()) for n in range(1, numbers.stop)]
    seals = [e.Seal(n, DAY, n - 1, n, 1, e.entry_leaf(row, None), merkle.NOTHING) for n, row in enumerate(rows, 1)]
    root, tree = e.publish(DAY, seals, []), merkle.levels([seal.hash for seal in seals])
    return statement.ProvenStatement(
        form=statement.FORM,
        member_id="M-1",
        day=DAY,
        days=1,
        root=root.root.hex(),
        after=numbers.start - 1,
        columns=list(e.ENTRY),
        why_columns=list(e.LOT),
        entries=[statement.Proven(index=0, path=[], row=rows[n - 1], why=None, batch_no=n) for n in numbers],
        batches={str(n): statement._batch(seals[n - 1], n - 1, tree) for n in numbers},
        published={DAY: statement._day(root, merkle.levels([root.leaf]))},
        next_after=None,
    )


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (
            range(1, 5),
            "entries 1 to 4 stand under the root of 2026-03-01 up to entry 4; whether later ones follow, the ",
        ),
        (
            range(3, 5),
            "entries 3 to 4 stand under the root of 2026-03-01 what these entries alone come to; whether later",
        ),
    ],
)
def test_a_file_is_proven_up_to_its_last_entry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, numbers: range, says: str
) -> None:
    told, file = file_of(numbers), tmp_path / "proof.json"
    file.write_bytes(msgspec.json.encode(told))
    assert tenure(monkeypatch, "verify", "statement", str(file), "--root", told.root) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert says in said
    assert said.endswith(f"points available: {len(numbers) * 100}")


@pytest.mark.parametrize(
    ("edited", "says"),
    [
        ({"day": "2035-12-31"}, "this root is not that of 2035-12-31"),
        ({"entries": []}, "has no entries"),
        ({"form": 1}, "ask for the statement anew"),
        ({"member_id": "M-2"}, "is another member's"),
        ({"after": 1}, "some are missing"),
    ],
)
def test_an_edited_file_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    edited: dict[str, object],
    says: str,
) -> None:
    told, file = file_of(range(1, 5)), tmp_path / "proof.json"
    file.write_bytes(msgspec.json.encode(msgspec.to_builtins(told) | edited))
    assert tenure(monkeypatch, "verify", "statement", str(file), "--root", told.root) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert says in " ".join(said.err.split())


@pytest.mark.parametrize("root", ["", "foo", "2026-03-01", "ab" * 31, "ab" * 33])
def test_what_is_no_root_is_called_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, root: str
) -> None:
    """The file may be right: whoever mistyped the root is not told that the statement is none."""
    file = tmp_path / "proof.json"
    file.write_bytes(msgspec.json.encode(file_of(range(1, 5))))
    assert tenure(monkeypatch, "verify", "statement", str(file), "--root", root) == 1
    assert "not proven: the root is not one: 64 hexadecimal digits" in " ".join(capsys.readouterr().err.split())
