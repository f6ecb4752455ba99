"""What policy-sync decides: `on_fact` and `on_day` for policies, `on_customer` and `on_contact` for members."""

from policy_sync.rules.corrections import on_correct
from policy_sync.rules.customers import on_contact, on_customer
from policy_sync.rules.dismissals import on_dismissed
from policy_sync.rules.keys import blank, keys
from policy_sync.rules.policies import on_day, on_fact
from policy_sync.rules.refusals import PROBLEMS

__all__ = ["PROBLEMS", "blank", "keys", "on_contact", "on_correct", "on_customer", "on_day", "on_dismissed", "on_fact"]
