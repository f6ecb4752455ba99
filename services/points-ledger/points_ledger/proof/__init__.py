"""Sealed entries: a journal that nobody can rewrite unseen, and statements that prove themselves.

`merkle` and `entries` are pure; `sealer` seals what was written, after the fact; `check` replays and looks for what was tampered
with; `statement` cuts out one member's entries with their proofs, and verifies them without a database.
"""
