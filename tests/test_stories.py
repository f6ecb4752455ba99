"""The demo's stories end to end: real policies in, tiers, points, benefits, messages and a redemption out, over the public API."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tenure_local.demo import cast_and_portfolio
from tenure_local.invariants import verified
from tenure_local.stories import STORIES, Asking, Story

from .conftest import Ran

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


@pytest.mark.parametrize("tell", STORIES, ids=lambda tell: tell.__name__)
def test_the_cast_comes_to_what_the_programme_promises(ran: Ran, tell: Callable[[Asking], Story]) -> None:
    story = tell(ran.ask)
    assert story.true, story.seen


def test_every_invariant_holds(ran: Ran) -> None:
    broken = [name for name, true in ran.summary.invariants.items() if not true]
    assert broken == []
    assert len(ran.summary.invariants) > 20


def test_every_policyholder_became_a_member(ran: Ran) -> None:
    holders = {e.data.member_id for e in cast_and_portfolio() if e.type == "PolicyIssued"}
    renewed = {e.data.member_id for e in cast_and_portfolio() if e.type == "PolicyRenewed" and e.data.member_id}
    assert ran.summary.members == len(holders | renewed)


def test_the_same_facts_pushed_again_over_rest_change_nothing(ran: Ran) -> None:
    lines = (Path(__file__).parents[1] / "examples/home-cast/facts.ndjson").read_text().splitlines()
    facts = [f for f in map(json.loads, lines) if f["type"][0].isupper()]
    url, token = ran.home.addresses().url, ran.home.token("core-1", "core")
    before = ran.ask.operator.get("/v1/ledger/totals")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "again"}
    answer = httpx.post(f"{url}/v1/facts", json=facts, headers=headers, timeout=30)
    assert answer.status_code == httpx.codes.OK, answer.text
    assert {r["status"] for r in answer.json()["results"]} == {"duplicate"}
    _tenure(ran, "wait")
    assert ran.ask.operator.get("/v1/ledger/totals") == before
    assert all(verified(ran.home).values())


def test_a_member_sees_itself_and_nobody_else(ran: Ran) -> None:
    with ran.ask.member("H-08") as api:
        assert api.get("/v1/me")["member_id"] == "H-08"
        for path in ("/v1/members/H-04/status", "/v1/wallets/H-04", "/v1/tiers/H-04", "/v1/benefits/H-04"):
            answer = api._http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def test_the_command_line_answers_as_the_api_does(ran: Ran, tmp_path: Path) -> None:
    status = json.loads(_tenure(ran, "status", "H-04", "--json"))
    assert (status["member_id"], status["tier"]["code"]) == ("H-04", "gold")
    assert "gold" in _tenure(ran, "status", "H-04").lower()
    assert json.loads(_tenure(ran, "wait", "--json"))["drained"] is True
    assert _tenure(ran, "parked", "list").strip() == "nothing is parked"
    assert "✗" not in _tenure(ran, "doctor")


def test_every_entry_of_the_ledger_is_sealed_and_is_what_was_sealed(ran: Ran) -> None:
    """The sealer works beside the demo; a batch that does not fill up waits five seconds."""
    until = time.monotonic() + 60
    while (report := json.loads(_tenure(ran, "verify", "ledger", "--json")))["sealed"] < report["entries"]:
        assert time.monotonic() < until, report
        time.sleep(1)
    assert (report["wrong"], report["entries"] > 1_000) == ([], True)
    assert "✗" not in _tenure(ran, "verify", "ledger")


def test_tiers_and_wallets_are_exported_as_csv(ran: Ran, tmp_path: Path) -> None:
    _tenure(ran, "tiers", "--as-of", "2018-12-31", "--csv", str(tmp_path / "tiers.csv"))
    _tenure(ran, "wallets", "--csv", str(tmp_path / "wallets.csv"))
    with (tmp_path / "tiers.csv").open() as file:
        tiers = {row["member_id"]: row for row in csv.DictReader(file)}
    assert list(tiers["H-01"]) == [
        "member_id", "insured_days", "annual_premium_fen", "qualified_tier", "tier", "tier_since",
    ]  # fmt: skip
    assert tiers["H-01"]["tier"] == "silver"
    assert tiers["H-01"]["tier_since"] == "2018-06-01"
    assert tiers["H-01"]["insured_days"] == str(2 * 365 + 213)
    assert tiers["H-02"]["annual_premium_fen"] == "30001"
    with (tmp_path / "wallets.csv").open() as file:
        wallets = {(row["member_id"], row["wallet"]): row for row in csv.DictReader(file)}
    for wallet in wallets.values():
        has = {name: int(amount) for name, amount in wallet.items() if name not in {"member_id", "wallet"}}
        stands = has["pending"] + has["available"] + has["held"] - has["debt"]
        assert has["granted"] + has["adjusted"] == stands + has["spent"] + has["reversed"] + has["expired"]
    assert int(wallets["H-07", "points"]["available"]) >= 30 * 10 + 500 + 240


def test_tiers_are_answered_for_a_past_day(ran: Ran) -> None:
    before = ran.ask.operator.get("/v1/tiers/H-01", as_of="2018-05-31")
    after = ran.ask.operator.get("/v1/tiers/H-01", as_of="2018-06-01")
    assert (before["tier"], after["tier"]) == ("basic", "silver")


MILDER = """
effective: 2027-01-01
protection_months: 12
tiers:
  - { name: basic, label_zh: 基础, label_en: Basic }
  - { name: silver, label_zh: 白银, label_en: Silver, any_of: [{ measure: insured_years, operator: ">=", threshold: 1 }] }
"""


def test_two_persons_publish_rules_on_the_command_line_and_one_takes_them_back(ran: Ran, tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    draft.write_text(MILDER, encoding="utf-8")
    why = ("--reason", "a trial")
    made = json.loads(_tenure(ran, "rules", "propose", "tiers", str(draft), *why, "--as", "op-1", "--json"))
    assert f"{made['draft_id']}  for 2027-01-01: proposed by op-1" in _tenure(ran, "rules", "list")
    _tenure(ran, "rules", "approve", "tiers", made["draft_id"], *why, "--as", "op-2")
    assert f"version 2  from 2027-01-01  (published, {made['draft_id']})" in _tenure(ran, "rules", "list")
    withdrawn = _tenure(ran, "rules", "withdraw", "tiers", made["draft_id"], *why, "--as", "op-1")
    assert "withdrawn by op-1" in withdrawn
    log = json.loads(_tenure(ran, "rules", "show", "tiers", made["draft_id"]))["log"]
    assert [(e["action"], e["actor"]) for e in log] == [
        ("proposed", "op-1"),
        ("approved", "op-2"),
        ("withdrawn", "op-1"),
    ]


def test_draft_rules_are_simulated_on_the_command_line(ran: Ran, tmp_path: Path) -> None:
    draft, changed = tmp_path / "draft.yaml", tmp_path / "changed.csv"
    draft.write_text(MILDER.replace("effective: 2027-01-01", ""), encoding="utf-8")
    before = ran.ask.operator.get("/v1/tiers/H-01")
    said = _tenure(
        ran, "simulate", "tiers", "--rules", str(draft), "--as-of", "2018-12-31", "--csv", str(changed), "--json"
    )
    result = json.loads(said)["result"]
    assert result["members"] == ran.summary.members
    assert sum(m["members"] for m in result["moves_on_first_day"]) == ran.summary.members
    assert result["helped"] > 0
    assert result["harmed"] > 0, "a programme without gold and diamond takes them away"
    with changed.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["helped"] + result["harmed"] == result["listed"]
    assert ran.ask.operator.get("/v1/tiers/H-01") == before
    example = Path(__file__).parents[1] / "examples/rules/dearer-silver.yaml"
    assert " harmed" in _tenure(ran, "simulate", "tiers", "--rules", str(example), "--effective", "2027-01-01")
    assert "members by tier" in _tenure(ran, "simulate", "tiers", "--rules", str(draft), "--months", "2")


def test_an_unknown_member_is_not_found(ran: Ran) -> None:
    answer = ran.ask.operator._http.get("/v1/members/nobody/status")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def _tenure(ran: Ran, *words: str) -> str:
    command = Path(sys.executable).with_name("tenure")
    done = subprocess.run(
        [command, *words],
        env={**os.environ, "TENURE_DATA_DIR": str(ran.home.folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
