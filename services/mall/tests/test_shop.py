"""The shop over HTTP: what members and operators see, and what the world is told."""

from datetime import date
from functools import partial
from typing import Any

import pytest
from mall.states import Answer
from tenure.contracts import mall as told

SKU = "coffee-voucher-30"


async def codes_of(mall: Any, order_id: str, member: str = "M-1") -> Any:
    return await mall.call("GET", f"/v1/orders/{order_id}/code", "member", member)


async def test_an_order_is_fulfilled_in_the_answer(mall: Any, bank: Any) -> None:
    await mall.join("M-1", points=6000)
    answer = await mall.order("M-1", SKU, 2)
    order = answer.json()
    assert answer.status_code == 201
    assert (order["status"], order["step"], order["points"]) == ("fulfilled", None, 5600)
    assert bank.accounts["M-1"] == 400
    assert await mall.available(SKU) == 198
    events = await mall.t.emitted(told.OrderEvent)
    assert [type(e).__name__ for e in events] == ["OrderPlaced", "OrderFulfilled"]
    assert events[0].effective == date(2026, 3, 9)
    codes = (await codes_of(mall, order["order_id"])).json()["codes"]
    assert len(set(codes)) == 2
    assert not await mall.broken()


async def test_no_answer_but_the_code_page_and_no_event_holds_a_code(mall: Any) -> None:
    await mall.join("M-1", points=6000)
    order_id = (await mall.order("M-1", SKU)).json()["order_id"]
    (code,) = (await codes_of(mall, order_id)).json()["codes"]
    other = [
        await mall.call("GET", f"/v1/orders/{order_id}", "member", "M-1"),
        await mall.call("GET", f"/v1/orders/{order_id}/history"),
    ]
    assert all(code not in answer.text for answer in other)
    kept = await mall.t.pool.fetch("SELECT body AS bytes FROM idempotency UNION ALL SELECT records FROM outbox")
    assert kept
    assert all(code.encode() not in row["bytes"] for row in kept)


async def test_too_few_points_fail_the_order_and_free_the_stock(mall: Any, bank: Any) -> None:
    await mall.join("M-1", points=2799)
    order = (await mall.order("M-1", SKU)).json()
    assert (order["status"], order["reason"]) == ("failed", "insufficient_points")
    assert (await mall.available(SKU), bank.accounts["M-1"]) == (200, 2799)
    assert [type(e).__name__ for e in await mall.t.emitted(told.OrderEvent)] == ["OrderPlaced", "OrderFailed"]
    assert (await codes_of(mall, order["order_id"])).json()["code"] == "code_gone"
    assert not await mall.broken()


async def test_the_same_key_and_the_same_quote_are_the_same_order(mall: Any, bank: Any) -> None:
    await mall.join("M-1", points=9000)
    quote_id = (await mall.quote("M-1", SKU)).json()["quote_id"]
    first = await mall.order_quote("M-1", quote_id, key="k-1")
    again = await mall.order_quote("M-1", quote_id, key="k-1")
    double_tap = await mall.order_quote("M-1", quote_id, key="k-2")
    assert first.json() == again.json() == double_tap.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert bank.accounts["M-1"] == 9000 - 2800
    assert await mall.available(SKU) == 199


async def test_a_foreign_quote_or_order_does_not_exist(mall: Any) -> None:
    await mall.join("M-1", points=9000)
    quote_id = (await mall.quote("M-1", SKU)).json()["quote_id"]
    assert (await mall.order_quote("M-2", quote_id)).status_code == 404
    order_id = (await mall.order_quote("M-1", quote_id)).json()["order_id"]
    assert (await mall.order_quote("M-2", quote_id)).status_code == 404
    assert (await codes_of(mall, order_id, "M-2")).status_code == 404
    assert (await mall.call("GET", f"/v1/orders/{order_id}", "member", "M-2")).status_code == 404
    refund = {"kind": "refund", "reason": "other"}
    path = f"/v1/orders/{order_id}/after-sales"
    assert (await mall.call("POST", path, "member", "M-2", json=refund)).status_code == 404
    assert (await mall.call("GET", "/v1/orders?member_id=M-1", "member", "M-2")).status_code == 404


async def test_an_expired_quote_is_refused(mall: Any) -> None:
    await mall.join("M-1", points=9000)
    quote_id = (await mall.quote("M-1", SKU)).json()["quote_id"]
    await mall.t.pool.execute("UPDATE quotes SET valid_until = now() - interval '1 second'")
    answer = await mall.order_quote("M-1", quote_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "quote_expired")
    assert await mall.statuses() == {}


async def test_a_member_is_held_to_the_limit_and_gets_it_back_with_a_refund(mall: Any) -> None:
    await mall.join("M-1", "gold", points=60_000)
    order_id = (await mall.order("M-1", "dental-cleaning")).json()["order_id"]
    assert (await mall.quote("M-1", "dental-cleaning")).json()["code"] == "limit_reached"
    refund = {"kind": "refund", "reason": "changed_mind"}
    answer = await mall.call("POST", f"/v1/orders/{order_id}/after-sales", "member", "M-1", json=refund)
    assert (answer.status_code, answer.json()["status"]) == (200, "refunded")
    assert (await mall.order("M-1", "dental-cleaning")).json()["status"] == "fulfilled"


async def test_two_quotes_do_not_pass_the_limit_together(mall: Any) -> None:
    await mall.join("M-1", "gold", points=60_000)
    both = [(await mall.quote("M-1", "dental-cleaning")).json()["quote_id"] for _ in range(2)]
    answers = [await mall.order_quote("M-1", quote_id) for quote_id in both]
    assert [a.status_code for a in answers] == [201, 409]
    assert answers[1].json()["code"] == "limit_reached"


async def test_an_unseen_code_goes_back_and_a_seen_one_does_not(mall: Any, bank: Any) -> None:
    await mall.join("M-1", points=6000)
    seen, unseen = [(await mall.order("M-1", SKU)).json()["order_id"] for _ in range(2)]
    await codes_of(mall, seen)
    refund = {"kind": "refund", "reason": "bought_by_mistake"}
    answers = [
        await mall.call("POST", f"/v1/orders/{o}/after-sales", "member", "M-1", json=refund) for o in (seen, unseen)
    ]
    assert (answers[0].status_code, answers[0].json()["code"]) == (409, "code_viewed")
    assert answers[1].json()["status"] == "refunded"
    assert (bank.accounts["M-1"], await mall.available(SKU)) == (3200, 199)
    assert await mall.t.pool.fetchval("SELECT count(*) FROM codes WHERE order_id = $1", unseen) == 0
    assert (await codes_of(mall, unseen)).json()["code"] == "code_gone"
    (refunded,) = await mall.t.emitted(told.OrderRefunded)
    assert (refunded.order_id, refunded.reason) == (unseen, "bought_by_mistake")
    assert not await mall.broken()


async def test_what_the_ledger_gives_nothing_back_for_any_more_is_refused_and_delivered_as_ever(
    mall: Any, bank: Any
) -> None:
    await mall.join("M-1", points=9000)
    order = (await mall.order("M-1", "water-leak-sensor")).json()
    path = f"/v1/orders/{order['order_id']}"
    bank.answers[order["order_id"], "refund"] = Answer("refused", "hold_not_captured")
    headers = mall.t.auth("member", subject="M-1")
    ask = partial(mall.http.post, f"{path}/after-sales", json={"kind": "refund", "reason": "other"}, headers=headers)
    assert [((late := await ask()).status_code, late.json()["code"]) for _ in "ab"] == [(409, "refund_refused")] * 2
    mine = (await mall.call("GET", path, "member", "M-1")).json()
    assert (mine["status"], mine["reason"], mine["step"]) == ("fulfilled", "refund_refused", None)
    shipped = (await mall.call("POST", f"{path}/ship")).json()
    assert (shipped["status"], shipped["reason"]) == ("shipped", "")
    assert await mall.t.emitted(told.OrderRefunded) == []
    assert not await mall.broken()


async def test_the_same_quote_is_the_same_order_though_its_points_were_refused_back(mall: Any, bank: Any) -> None:
    await mall.join("M-1", points=9000)
    quote = (await mall.quote("M-1", "water-leak-sensor")).json()["quote_id"]
    order = (await mall.order_quote("M-1", quote)).json()["order_id"]
    bank.answers[order, "refund"] = Answer("refused", "hold_not_captured")
    refund = {"kind": "refund", "reason": "other"}
    await mall.call("POST", f"/v1/orders/{order}/after-sales", "member", "M-1", json=refund)
    again = await mall.order_quote("M-1", quote)
    assert (again.status_code, again.json()["order_id"]) == (201, order)


async def test_seeing_a_code_twice_shows_the_same_and_closes_once(mall: Any) -> None:
    await mall.join("M-1", points=6000)
    order_id = (await mall.order("M-1", SKU)).json()["order_id"]
    first, second = await codes_of(mall, order_id), await codes_of(mall, order_id)
    assert first.json() == second.json()
    assert len(await mall.t.emitted(told.OrderClosed)) == 1


async def test_goods_are_shipped_and_delivered_by_an_operator(mall: Any) -> None:
    await mall.join("M-1", points=9000)
    order = (await mall.order("M-1", "water-leak-sensor", 2)).json()
    assert (order["status"], order["cash_fen"]) == ("fulfilled", 3800)
    listed = (await mall.call("GET", "/v1/mall/to-deliver")).json()["items"]
    assert [o["order_id"] for o in listed] == [order["order_id"]]
    path = f"/v1/orders/{order['order_id']}"
    assert (await mall.call("POST", f"{path}/deliver")).json()["code"] == "not_deliverable"
    assert (await mall.call("POST", f"{path}/ship", "member", "M-1")).status_code == 403
    assert (await mall.call("POST", f"{path}/ship")).json()["status"] == "shipped"
    refund = {"kind": "refund", "reason": "other"}
    late = await mall.call("POST", f"{path}/after-sales", "member", "M-1", json=refund)
    assert late.json()["code"] == "already_shipped"
    assert (await mall.call("POST", f"{path}/deliver")).json()["status"] == "closed"
    events = [type(e).__name__ for e in await mall.t.emitted(told.OrderEvent)]
    assert events == ["OrderPlaced", "OrderFulfilled", "OrderShipped", "OrderDelivered", "OrderClosed"]
    assert (await mall.call("GET", "/v1/mall/to-deliver")).json()["items"] == []
    history = (await mall.call("GET", f"{path}/history")).json()["steps"]
    assert [s["status"] for s in history] == ["placed", "held", "supplied", "fulfilled", "shipped", "closed"]
    assert not await mall.broken()


async def test_a_service_is_delivered_without_shipping(mall: Any) -> None:
    await mall.join("M-1", points=9000)
    path = f"/v1/orders/{(await mall.order('M-1', 'air-conditioner-cleaning')).json()['order_id']}"
    assert (await mall.call("POST", f"{path}/ship")).json()["code"] == "not_shippable"
    assert (await mall.call("POST", f"{path}/deliver")).json()["status"] == "closed"


@pytest.mark.parametrize(("lang", "title"), [("zh", "口腔洁牙一次"), ("en", "One dental cleaning")])
async def test_the_catalogue_shows_what_the_tier_opens(mall: Any, lang: str, title: str) -> None:
    await mall.join("M-1", "silver")
    await mall.join("M-2", "gold")
    silver, gold = [
        {i["sku"]: i for i in (await mall.call("GET", f"/v1/catalogue?lang={lang}", "member", m)).json()["items"]}
        for m in ("M-1", "M-2")
    ]
    assert gold.keys() - silver.keys() == {"dental-cleaning"}
    assert gold["dental-cleaning"]["title"] == title
    assert gold["dental-cleaning"]["stock"] == "in_stock"
    everything = (await mall.call("GET", "/v1/catalogue")).json()["items"]
    assert {i["sku"]: i["stock"] for i in everything}["robot-vacuum"] == "low"
    await mall.call("POST", "/v1/catalogue/robot-vacuum/stock", json={"delta": -5, "reason": "sold elsewhere"})
    emptied = {i["sku"]: i for i in (await mall.call("GET", "/v1/catalogue")).json()["items"]}["robot-vacuum"]
    assert (emptied["stock"], emptied["available"]) == ("sold_out", False)


async def test_a_tier_that_was_never_held_opens_nothing(mall: Any) -> None:
    await mall.join("M-1", "silver")
    assert (await mall.quote("M-1", "fuel-voucher-100")).status_code == 201
    await mall.join("M-1", "none")
    answer = await mall.quote("M-1", "fuel-voucher-100")
    assert (answer.status_code, answer.json()["code"]) == (403, "tier_too_low")


async def test_loaded_codes_are_counted_once(mall: Any) -> None:
    path = "/v1/catalogue/tree-planting/codes"
    first = (await mall.call("POST", path, json={"codes": ["A", "B", "A"]})).json()
    second = (await mall.call("POST", path, json={"codes": ["B", "C"]})).json()
    assert (first["loaded"], first["available"]) == (2, 502)
    assert (second["loaded"], second["duplicates"], second["available"]) == (1, 1, 503)
    assert (await mall.call("POST", "/v1/catalogue/smoke-alarm/codes", json={"codes": ["A"]})).json()[
        "code"
    ] == "not_a_code"
    assert (await mall.call("POST", "/v1/catalogue/nothing/codes", json={"codes": ["A"]})).status_code == 404
    assert (await mall.call("POST", path, "member", "M-1", json={"codes": ["D"]})).status_code == 403
    assert not await mall.broken()


@pytest.mark.parametrize(
    ("sku", "delta", "expected"),
    [
        ("smoke-alarm", 20, 120),
        ("smoke-alarm", -100, 0),
        ("smoke-alarm", -101, "stock_below_zero"),
        ("car-wash", 5, "stock_is_codes"),
        ("nothing", 5, "unknown_sku"),
    ],
)
async def test_stock_is_corrected_with_a_reason(mall: Any, sku: str, delta: int, expected: int | str) -> None:
    body = {"delta": delta, "reason": "stock-take of March"}
    answer = (await mall.call("POST", f"/v1/catalogue/{sku}/stock", json=body)).json()
    assert expected in (answer.get("available"), answer.get("code"))
    assert not await mall.broken()


async def test_orders_are_paged_newest_first(mall: Any) -> None:
    await mall.join("M-1", points=9000)
    ids = [(await mall.order("M-1", "tree-planting")).json()["order_id"] for _ in range(5)]
    page = (await mall.call("GET", "/v1/orders?limit=3", "member", "M-1")).json()
    rest = (await mall.call("GET", f"/v1/orders?limit=3&cursor={page['next_cursor']}", "member", "M-1")).json()
    assert [o["order_id"] for o in page["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None


BAD = [
    ("/v1/quotes", {"sku": SKU, "quantity": 0}),
    ("/v1/quotes", {"sku": SKU, "quantity": 21}),
    ("/v1/quotes", {"sku": SKU, "quantity": "1"}),
    ("/v1/quotes", {"quantity": 1}),
    ("/v1/quotes", {"sku": SKU, "points": 1}),
    ("/v1/orders", {}),
    ("/v1/orders", {"quote_id": "Q 1"}),
    ("/v1/orders/O-1/after-sales", {"kind": "exchange", "reason": "other"}),
    ("/v1/orders/O-1/after-sales", {"kind": "refund", "reason": "my name is ..."}),
]


@pytest.mark.parametrize(("path", "body"), BAD)
async def test_bad_input_is_named(mall: Any, path: str, body: dict[str, Any]) -> None:
    answer = await mall.call("POST", path, "member", "M-1", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_totals_add_up(mall: Any) -> None:
    await mall.join("M-1", points=3000)
    for _ in range(2):
        await mall.order("M-1", SKU)
    totals = (await mall.call("GET", "/v1/mall/totals")).json()
    assert (totals["orders"], totals["fulfilled"], totals["failed"]) == (2, 1, 1)
    assert (totals["units_fulfilled"], totals["points_captured"], totals["in_progress"]) == (1, 2800, 0)
    assert (await mall.call("GET", "/v1/mall/totals", "member", "M-1")).status_code == 403


async def test_a_shelf_that_is_full_is_said_to_be_full(mall: Any) -> None:
    await mall.t.pool.execute(
        "UPDATE shelves SET stocked = 2147483000, available = 2147483000 WHERE sku = 'smoke-alarm'"
    )
    answers = [
        await mall.call(
            "POST", "/v1/catalogue/smoke-alarm/stock", json={"delta": delta, "reason": "stock-take of March"}
        )
        for delta in (1_000_000, -1_000_000)
    ]
    assert (answers[0].status_code, answers[0].json()["code"], answers[1].status_code) == (409, "stock_too_high", 200)
