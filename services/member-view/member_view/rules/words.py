"""What the tiers are called, by the version of the tier rules that is in force on a day.

The invariant: the words of a row follow from its state and one version alone, so they can be written anew on a day on which other
rules came into force and nothing else happened to the member.
"""

from datetime import date
from typing import Final

from msgspec.structs import replace
from tenure.contracts.programme import TierRules, Versions
from tenure.contracts.programme.order import rule_on

from member_view.rules.view import Label, View

NO_TIER_LABEL: Final = Label("非会员", "No tier")
UNSAID: Final = Label("", "")


def worded(view: View, tiers: Versions[TierRules], day: date) -> View:
    """The view with its tiers called as they are on that day; the same object if it is so already."""
    s = view.standing
    if s.measured_on is None:  # no tier was ever told
        label = nearest = UNSAID
    else:
        label = _label(tiers, s.tier, day)
        nearest = _label(tiers, s.nearest.tier, day) if s.nearest else UNSAID
    version = tiers.at(day).version
    if (s.label, s.nearest_label, s.worded_by) == (label, nearest, version):
        return view
    return replace(view, standing=replace(s, label=label, nearest_label=nearest, worded_by=version))


def _label(tiers: Versions[TierRules], name: str, day: date) -> Label:
    found = rule_on(tiers, name, day)
    return Label(found.label_zh, found.label_en) if found else NO_TIER_LABEL
