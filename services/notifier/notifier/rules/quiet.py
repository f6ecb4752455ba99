"""When a message may go out: never in quiet hours, which begin at their start and end before their end, Asia/Shanghai."""

from datetime import datetime, timedelta

from tenure.calendar import DAY, SHANGHAI
from tenure.contracts.programme.messages import Messages, Template


def is_quiet(at: datetime, rules: Messages) -> bool:
    """Whether an instant lies in quiet hours; the usual ones span midnight."""
    now = at.astimezone(SHANGHAI).time()
    if rules.quiet_start < rules.quiet_end:
        return rules.quiet_start <= now < rules.quiet_end
    return now >= rules.quiet_start or now < rules.quiet_end


def next_end(at: datetime, rules: Messages) -> datetime:
    """The first end of quiet hours at or after an instant."""
    local = at.astimezone(SHANGHAI)
    end = datetime.combine(local.date(), rules.quiet_end, SHANGHAI)
    return end if local <= end else end + DAY


def sendable(at: datetime, rules: Messages) -> datetime:
    """The instant itself, or where quiet hours around it end."""
    return next_end(at, rules) if is_quiet(at, rules) else at


def send_at(asked_at: datetime, template: Template, rules: Messages) -> datetime:
    """When a message about something that happened at `asked_at` is due."""
    if template.timing == "digest":
        return next_end(asked_at, rules)
    settle = timedelta(seconds=rules.settle_s if template.timing == "settled" else 0)
    return sendable(asked_at + settle, rules)
