"""Published versions beside those of the files; the pure steps of a draft. Over REST: services/tier-engine/tests/test_published.py."""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
import yaml
from tenure.contracts.event import WrongEventError
from tenure.contracts.programme import Versions
from tenure.programme import ProgrammeError
from tenure.rulebook import drafts
from tenure.rulebook.book import Rulebook
from tenure.rulebook.drafts import Draft, Known
from tenure.rulebook.kinds import KINDS, Published, merged, version_of
from tenure.testing import PROGRAMME_DIR, ROOT

TODAY = date(2027, 3, 1)
NOW = datetime(2027, 3, 1, tzinfo=UTC)
DOCUMENT = yaml.safe_load((ROOT / "examples/rules/dearer-silver.yaml").read_text(encoding="utf-8"))


def draft(effective=TODAY + timedelta(days=30), **more):
    given = dict(draft_id="R-1", kind="tiers", state="proposed", reason="r", proposed_by="li", proposed_at=NOW)
    return Draft(**{**given, "effective": effective, "document": DOCUMENT, **more})


def known(rules, **more):
    return Known(
        **{"versions": rules.tiers, "files": rules.tiers, "number_max": 1, "waiting": 0, "today": TODAY, **more}
    )


def refused(step, *args, **more):
    with pytest.raises(WrongEventError) as wrong:
        step(*args, **more)
    return wrong.value.code


def test_the_example_is_a_draft_that_may_be_published(rules):
    proposed = drafts.proposed(draft(), known(rules))
    approved = drafts.approved(proposed, known(rules), by="wang", at=NOW)
    assert (approved.state, approved.version, approved.approved_by) == ("approved", 2, "wang")
    withdrawn = drafts.withdrawn(approved, known(rules), by="zhao", at=NOW, why="no")
    assert (withdrawn.state, withdrawn.version) == ("withdrawn", 2)


def test_what_must_not_happen_to_a_draft(rules):
    k, approved = known(rules), draft(state="approved", version=2, approved_by="wang")
    assert refused(drafts.approved, draft(), k, by="li", at=NOW) == "same_person"
    assert refused(drafts.approved, approved, k, by="zhao", at=NOW) == "draft_resolved"
    assert refused(drafts.approved, draft(state="withdrawn"), k, by="zhao", at=NOW) == "draft_resolved"
    assert refused(drafts.withdrawn, draft(state="withdrawn"), k, by="zhao", at=NOW, why="") == "draft_resolved"
    in_force = msgspec.structs.replace(approved, effective=TODAY)
    assert refused(drafts.withdrawn, in_force, k, by="zhao", at=NOW, why="") == "rules_in_force"
    assert refused(drafts.proposed, draft(TODAY), k) == "effective_passed"
    assert refused(drafts.approved, draft(TODAY), k, by="wang", at=NOW) == "effective_passed"
    assert refused(drafts.proposed, draft(), known(rules, waiting=drafts.DRAFTS_OPEN_MAX)) == "too_many_drafts"


def test_every_kind_of_the_files_can_be_published(rules):
    """The newest version of each file, as a draft, is a version again."""
    for kind in KINDS:
        newest = yaml.safe_load((PROGRAMME_DIR / f"{kind}.yaml").read_text(encoding="utf-8"))["versions"][-1]
        document = {k: v for k, v in newest.items() if k not in ("version", "effective")}
        made = version_of(kind, document, version=9, effective=TODAY)
        assert (made.version, made.effective) == (9, TODAY)
        programme = merged(rules, [Published(kind, 9, TODAY, document, "R-1")])
        assert getattr(programme, kind).at(TODAY) == made
        assert getattr(programme, kind).at(TODAY - timedelta(days=1)) == getattr(rules, kind).at(TODAY)


def test_what_was_published_and_no_longer_fits_ends_the_start_with_its_name(rules):
    for one in (
        Published("tiers", 2, TODAY, {**DOCUMENT, "colour": "red"}, "R-7"),
        Published("tiers", 1, TODAY, DOCUMENT, "R-7"),
        Published("tiers", 2, rules.tiers.newest.effective, DOCUMENT, "R-7"),
    ):
        with pytest.raises(ProgrammeError, match="tiers"):
            merged(rules, [one])


@dataclass
class Tables:
    """What is published, as a database answers it."""

    revision: int
    published: list[Published]

    async def fetchval(self, _):
        return self.revision

    async def fetch(self, _):
        return [{**msgspec.structs.asdict(p), "document": msgspec.json.encode(p.document)} for p in self.published]


async def test_what_a_database_that_was_put_back_no_longer_knows_is_no_rule_any_more(rules):
    book, published = Rulebook(rules), Published("tiers", 2, TODAY, DOCUMENT, "R-7")
    assert (await book.newest(Tables(9, [published]))).tiers.newest.version == 2
    assert (await book.newest(Tables(4, []))).tiers.newest.version == 1
    assert (await book.newest(Tables(5, [published]))).tiers.newest.version == 2


def test_the_digest_is_the_same_in_every_process(rules):
    """Sets have another order in each process; whoever judged by the same versions must say the same number."""
    code = (
        "from tenure.rulebook.kinds import version_of; from tenure.contracts.programme import Versions; import datetime, json, sys;"
        "d = json.loads(sys.argv[1]);"
        "print(Versions([version_of('tiers', d, version=2, effective=datetime.date(2027, 3, 1))]).digest)"
    )
    document = {**DOCUMENT, "eligible_product_lines": ["home", "motor", "health", "travel", "pet"]}
    said = {
        subprocess.run(
            [sys.executable, "-c", code, msgspec.json.encode(document).decode()],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    here = Versions([version_of("tiers", document, version=2, effective=TODAY)])
    assert said == {str(here.digest)}
    assert here.digest != Versions([version_of("tiers", DOCUMENT, version=2, effective=TODAY)]).digest
