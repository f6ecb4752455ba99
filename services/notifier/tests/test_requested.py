"""Messages that others ask for: what cannot be written is refused, before it waits."""

import pytest
from msgspec.structs import replace
from tenure.contracts.decision import RefusedError
from tenure.contracts.message import MessageRequested
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.programme.messages import Messages, Template, Text

from .cast import M
from .test_rules import Desk


def with_messages(rules: Programme, messages: Messages) -> Programme:
    kept = {name: getattr(rules, name) for name in ("tiers", "earning", "benefits", "catalogue")}
    return Programme(**kept, messages=Versions([messages]))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (MessageRequested(member_id=M, template="no_such", dedupe="1"), "unknown_template"),
        (MessageRequested(member_id=M, template="tier_upgraded", dedupe="1"), "unknown_template"),
        (MessageRequested(member_id=M, template="class_invitation", dedupe="1"), "missing_params"),
        (MessageRequested(member_id=M, template="service_notice", dedupe="1", params={"topic": " "}), "missing_params"),
    ],
)
def test_a_request_that_cannot_be_written_is_refused(rules: Programme, request_: MessageRequested, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        Desk(rules).hears(request_)
    assert refused.value.code == code


def test_an_amount_that_is_asked_for_is_a_number(rules: Programme) -> None:
    """By a template of the operator's own: it would have been queued, and never have been written."""
    text = Text(zh="补偿 {amount} 元", en="A goodwill of CNY {amount}")
    mine = Template(id="goodwill", event="message.requested", title=Text(zh="补偿", en="Goodwill"), text=text)
    newest = rules.messages.newest
    own = with_messages(rules, replace(newest, templates=(*newest.templates, mine)))
    asked = MessageRequested(member_id=M, template="goodwill", dedupe="1", params={"amount": "50 yuan"})
    with pytest.raises(RefusedError) as refused:
        Desk(own).hears(asked)
    assert refused.value.code == "wrong_params"
    (told,) = Desk(own).hears(replace(asked, params={"amount": 5_000})).tells()
    assert told.text_en == "A goodwill of CNY 50.00"
