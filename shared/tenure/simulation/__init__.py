"""A seeded world for the real spine: time that only passes when nothing else can happen, a modelled store, a log that misbehaves.

The invariant: everything that happens follows from the seed. Nothing here waits for the real world, reads its clock, or draws from
another source of chance, so a run that failed can be had again, exactly, as often as it takes to understand it (decision 0010).
"""
