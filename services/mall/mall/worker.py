"""The mall's background work: continues orders whose next step is due, opens new shelves, forgets old quotes.

Any number of workers may run: each claims an order by moving its `next_try_at`, and only one of two succeeds.
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

import asyncpg
import structlog
from tenure.contracts.programme import Programme
from tenure.contracts.programme.catalogue import Item as CatalogueItem
from tenure.spine.gather import Gatherer
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.runtime import Worker
from tenure.spine.transact import Item

from mall.commands import OpenCodeShelf, OpenShelf, SweepQuotes
from mall.limits import IDLE_WAIT_S, ORDERS_AT_ONCE_MAX, QUOTES_KEPT_S, SWEEP_QUOTES_EVERY_S
from mall.ports.ledger import HttpLedger
from mall.saga import Saga
from mall.states import Order

log: Final = structlog.get_logger(__name__)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


async def run(worker: Worker) -> None:
    """Until the worker stops; while the world is down, again and again."""
    backoff = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "run"))
    gatherer = Gatherer(worker.door)
    async with HttpLedger(worker.settings) as ledger:
        saga = Saga(gatherer.submit, ledger, worker.today)
        while not worker.stopping.is_set():
            try:
                await _serve(worker, saga)
            except WORLD_DOWN as error:
                log.warning("mall_worker_waits", reason=type(error).__name__)
                await backoff.wait(error)
    await gatherer.close()


async def _serve(worker: Worker, saga: Saga) -> None:
    await open_shelves(saga, worker.door.pool, worker.door.programme)
    swept_at = saga.now() - timedelta(seconds=SWEEP_QUOTES_EVERY_S)
    while not worker.stopping.is_set():
        if saga.now() - swept_at >= timedelta(seconds=SWEEP_QUOTES_EVERY_S):
            await sweep_quotes(saga)
            swept_at = saga.now()
        if await continue_orders(saga, worker.door.pool):
            worker.wake_relay.set()
        else:
            await wait_or(worker.stopping, IDLE_WAIT_S)


async def continue_orders(saga: Saga, pool: Pool) -> int:
    """Carry on with orders that are due. Returns how many were this worker's."""
    rows = await pool.fetch(
        """SELECT order_id, member_id, next_try_at FROM orders WHERE next_try_at <= $1
           ORDER BY next_try_at LIMIT $2 FOR UPDATE SKIP LOCKED""",
        saga.now(),
        ORDERS_AT_ONCE_MAX,
    )
    orders = await saga.claim([(r["order_id"], r["member_id"], r["next_try_at"]) for r in rows])
    results = await asyncio.gather(*(saga.drive(order) for order in orders), return_exceptions=True)
    _log_failures(orders, results)
    return len(orders)


def _log_failures(orders: Sequence[Order], results: Sequence[Any]) -> None:
    """An order whose drive failed is due again when its lease ends; the others are not held up."""
    for order, result in zip(orders, results, strict=True):
        if isinstance(result, Exception):
            log.error("order_not_driven", order_id=order.order_id, step=order.step, exc_info=result)


async def sweep_quotes(saga: Saga) -> None:
    before = saga.now() - timedelta(seconds=QUOTES_KEPT_S)
    await _submit(saga, [SweepQuotes(before=before)], day=await saga.today())


async def open_shelves(saga: Saga, pool: Pool, programme: Programme) -> int:
    """Give every SKU of the catalogue its first stock, once. Returns how many shelves were opened."""
    opened = {r["sku"] for r in await pool.fetch("SELECT sku FROM shelves WHERE opened")}
    items = {item.sku: item for version in programme.catalogue.all for item in version.items}
    closed = [_first_stock(item) for sku, item in sorted(items.items()) if sku not in opened]
    await _submit(saga, closed, day=await saga.today())
    return len(closed)


def _first_stock(item: CatalogueItem) -> OpenShelf | OpenCodeShelf:
    """Codes are made up here, where randomness is allowed; nobody can guess one from another."""
    if not item.initial_codes:
        return OpenShelf(sku=item.sku, units=item.initial_stock, by="catalogue")
    codes = tuple(f"{item.code_prefix or 'C'}-{secrets.token_hex(8).upper()}" for _ in range(item.initial_codes))
    return OpenCodeShelf(sku=item.sku, codes=codes, by="catalogue")


async def _submit(saga: Saga, commands: Sequence[OpenShelf | OpenCodeShelf | SweepQuotes], *, day: date) -> None:
    outcomes = await saga.submit([Item(saga.event(c, key=getattr(c, "sku", "quotes"), day=day)) for c in commands])
    for outcome in outcomes:
        if outcome.wrong is not None:
            log.error("mall_command_refused", code=outcome.wrong.code, detail=outcome.wrong.detail)


__all__ = ["continue_orders", "open_shelves", "run", "sweep_quotes"]
