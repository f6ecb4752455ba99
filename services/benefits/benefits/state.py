"""What benefits knows of one member: the facts (timeline, covers, claims, uses, answers of the core) and what was told of them.

The invariant: `grants` follow from the facts alone (`rules.plan`). They are kept so that only differences are told, and so that
what was used survives when the past is corrected.
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec
from tenure.calendar import Period
from tenure.contracts.policy import ClaimStatus
from tenure.contracts.tier import Step

Home = tuple[date, str]
"""A region, and since when."""
Status = Literal["requested", "rejected", "active", "used", "revoked", "expired"]


class KnownTerm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A policy term, as far as benefits need it: when there is cover, of which line, for whom, where.

    A term of before `natural_person` was kept counts as a person's until it is heard of again.
    """

    policy_no: str
    term_no: int
    version: int
    product_line: str
    start: date
    covers: tuple[Period, ...]
    natural_person: bool = True
    region: str | None = None


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What was told of a claim."""

    tier: str
    fast_track: bool
    on_site_survey_waived: bool


class KnownClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A claim. `reported_on` is the day it was reported; `live` = open as it happened, not imported as history.

    `came`: it was another's, and nothing happened to it since. `is_gone`: it is another's now, as was told of a number that was
    given up; who remains has yet to hear of it.
    """

    claim_no: str
    policy_no: str
    product_line: str
    loss_date: date
    reported_on: date
    as_of: date
    status: ClaimStatus
    amount_fen: int
    live: bool = False
    advised: Advice | None = None
    came: bool = False
    is_gone: bool = False


class Use(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One use of a benefit. It counts for the period its day lies in. With a `slot` it is an appointment.

    `quota`: how often its day allowed it in the period, as was known then; None where nothing is counted, or it was not kept yet.
    """

    id: str
    grant_id: str
    benefit: str
    on: date
    reference: str = ""
    slot_region: str | None = None
    is_appointment: bool = False
    quota: int | None = None

    @property
    def made_by(self) -> str:
        """Under whose number it was made: the member's own, or one that was merged with it since."""
        return owner_of(self.grant_id)


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the core said to a request for a coverage extension: an endorsement with its days, or why not."""

    endorsement_no: str = ""
    start: date | None = None
    end: date | None = None
    reason: str = ""

    @property
    def is_confirmed(self) -> bool:
        return bool(self.endorsement_no)


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A benefit granted for a period (`period_end` None = as long as the tier lasts).

    `request_id` and `policy_no` belong to coverage extensions: what the core is asked. `asked` says for which policy it was asked
    ("" = without one, None = not yet). `is_kept`: no longer follows from the tier, kept because it was used.
    """

    id: str
    benefit: str
    period_start: date
    period_end: date | None
    granted_on: date
    tier: str
    quota: int | None
    quota_since: date
    status: Status
    used: int = 0
    is_renewal: bool = False
    restored_on: date | None = None
    revoked_on: date | None = None
    request_id: str | None = None
    policy_no: str | None = None
    asked: str | None = None
    is_kept: bool = False

    @property
    def remaining(self) -> int | None:
        return None if self.quota is None else max(0, self.quota - self.used)


class Brought(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What another number brought when it was merged into this one: whose grants came (its own, and those it had been brought), on
    which policies, and where its person lived. Enough to give it back, should the merger turn out to be a mistake.

    `terms`: those that were told under the number itself, as told last: perhaps after the parting, which is read late.
    """

    holders: frozenset[str]
    policies: frozenset[str] = frozenset()
    terms: Mapping[str, KnownTerm] = {}
    region: str | None = None
    region_since: date = date.min
    lived: tuple[Home, ...] = ()


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One member. `lived_to`: the last day up to which everything implied was told. `due_on`: the next day that implies more.

    `merged_into`: whose the number is, as told last (`ties_no`: its place among what was told of that). `lies_with`: who still has
    what it had brought, if that is somebody else by now.
    """

    member_id: str
    lived_to: date = date.min
    due_on: date | None = None
    timeline: tuple[Step, ...] = ()
    terms: Mapping[str, KnownTerm] = {}
    region: str | None = None
    region_since: date = date.min
    lived: tuple[Home, ...] = ()
    """The homes registered before that one, the oldest first."""
    claims: Mapping[str, KnownClaim] = {}
    grants: Mapping[str, Grant] = {}
    over: tuple[str, ...] = ()
    """The grants, without the member's number, whose periods passed unused: told, and no longer kept in `grants`."""
    uses: tuple[Use, ...] = ()
    answers: Mapping[str, Answer] = {}
    reports: tuple[str, ...] = ()
    merged_into: str | None = None
    lies_with: str | None = None
    ties_no: int = 0
    brought: Mapping[str, Brought] = {}
    of_history: bool = False
    """All that is known of the member is history, no fact and no day that lived."""
    heard_on: date | None = None
    """Where the calendar stood when the newest of that history was heard."""
    is_erased: bool = False
    """Nothing is kept any more of where the member lives, nor any words."""

    @property
    def tiers(self) -> tuple[Step, ...]:
        """The timeline, where it counts: of a number that was given up it is told in vain, or of after a parting read late."""
        return self.timeline if self.merged_into is None else ()

    @property
    def with_whom(self) -> str | None:
        """Under which number its things are; None: its own."""
        return self.lies_with or self.merged_into

    @property
    def is_astray(self) -> bool:
        """Whether anything of the person's lies under another number than the one they go by, here or elsewhere."""
        if self.lies_with is not None or self.merged_into is None:
            return self.lies_with is not None
        kept = any(is_worth_keeping(grant, self.answers) for grant in self.grants.values())
        return kept or any((self.terms, self.claims, self.uses, self.answers, self.reports))


def is_worth_keeping(grant: Grant, answers: Mapping[str, Answer]) -> bool:
    """A grant goes with its member if it was used or endorsed; the rest of it is the survivor's to have anew."""
    answer = answers.get(grant.request_id) if grant.request_id else None
    return bool(grant.used) or grant.is_kept or (answer is not None and answer.is_confirmed)


def forgotten(state: State) -> State:
    """Words, and where the member lives, go and stay away; what was granted and used stays under the number."""
    return msgspec.structs.replace(
        state,
        uses=tuple(msgspec.structs.replace(use, reference="", slot_region=None) for use in state.uses),
        terms=_without_regions(state.terms),
        answers={i: msgspec.structs.replace(answer, reason="") for i, answer in state.answers.items()},
        brought={
            i: msgspec.structs.replace(b, terms=_without_regions(b.terms), region=None, region_since=date.min, lived=())
            for i, b in state.brought.items()
        },
        region=None,
        region_since=date.min,
        lived=(),
        is_erased=True,
    )


def _without_regions(terms: Mapping[str, KnownTerm]) -> dict[str, KnownTerm]:
    return {i: msgspec.structs.replace(term, region=None) for i, term in terms.items()}


def owner_of(grant_id: str) -> str:
    """Whose grant it is: an id is `member.benefit.first-day-of-period`."""
    return grant_id.rsplit(".", 2)[0]


class ClaimKnown(msgspec.Struct, frozen=True):
    """A row: whose claim this is."""

    claim_no: str
    member_id: str


class Appointment(msgspec.Struct, frozen=True, kw_only=True):
    """A row: a use with a date, as the people who come to the house read it."""

    use_id: str
    grant_id: str
    member_id: str
    benefit: str
    slot_date: date
    region: str | None
    status: Literal["booked", "cancelled"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A row: an annual home-safety diagnosis, its body as JSON."""

    report_id: str
    member_id: str
    policy_no: str
    made_on: date
    body: bytes


class Forgotten(msgspec.Struct, frozen=True):
    """A row: where this member lives goes from the appointments, and the reports go whole."""

    member_id: str


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """A row: appointments on the grants of `holders`, these reports and claims are another number's from now on, unless a claim
    turned out to be somebody else's.
    """

    from_id: str
    to_id: str
    holders: frozenset[str]
    reports: tuple[str, ...]
    claims: tuple[str, ...] = ()
