"""How points are earned, kept, spent and taken back: pure, one file per decision.

`account` is the state and `book` the working copy one event writes on; `decide` maps events to the decisions.
"""
