"""How much of everything: the full run fits into ten minutes on two cores, the smoke run into ninety seconds."""

from typing import Final

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """Sizes of a run; counts of events, members and pairs, and seconds."""

    smoke: bool
    run_s_max: float
    pairs: int
    ledger_members: int
    renewal_members: int
    naive_events: int
    pipeline_members: int
    latency_s: float
    outage_s: float
    history_members: tuple[int, int]
    growth_members: int
    import_rows: int
    import_again_rows: int
    import_past_policies: tuple[int, int]
    import_share: float


FULL: Final = Plan(
    smoke=False,
    run_s_max=580,
    pairs=7,
    ledger_members=6_000,
    renewal_members=3_500,
    naive_events=100,
    pipeline_members=1_500,
    latency_s=1.6,
    outage_s=2.5,
    history_members=(2_500, 250_000),
    growth_members=2_500,
    import_rows=3_000,
    import_again_rows=1_400,
    import_past_policies=(1_430, 71_500),
    import_share=0.25,
)
SMOKE: Final = Plan(
    smoke=True,
    run_s_max=85,
    pairs=1,
    ledger_members=1_000,
    renewal_members=500,
    naive_events=30,
    pipeline_members=40,
    latency_s=1.0,
    outage_s=1.0,
    history_members=(500, 2_500),
    growth_members=500,
    import_rows=200,
    import_again_rows=100,
    import_past_policies=(150, 1_500),
    import_share=0.5,
)
