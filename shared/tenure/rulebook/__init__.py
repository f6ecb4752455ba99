"""Rules published by two persons: what a draft is, how it comes into force, and how a service reads what is in force.

`drafts` is pure (who may do what to a draft, and when), `tables` is SQL, `book` gives a transaction the versions it judges by.
"""
