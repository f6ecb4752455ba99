"""How old a record may be that the log gives again: longer than each topic's retention says, and inboxes must remember as long."""

from typing import Final

from tenure.contracts.topics import TOPIC_OF, TOPICS

SEGMENT_DAYS: Final = 7
"""A log deletes whole segments, and a new one begins after so long: a record may be that much older than its retention."""
READ_AGAIN_DAYS: Final = SEGMENT_DAYS + max(
    t.retention_days or 0 for t in TOPICS if set(t.consumers) & set(TOPIC_OF["day.started"].consumers)
)
"""How old a record may be that one of our services (each reads the calendar) is given again, where its group's offsets are gone.

What is kept for ever counts as nothing here: who reads it keeps what it says under its own id, also when it comes again.
"""
