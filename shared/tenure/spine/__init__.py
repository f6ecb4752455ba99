"""The way of an event: claim, load, decide, save and emit in one transaction, and the log on both ends of it."""
