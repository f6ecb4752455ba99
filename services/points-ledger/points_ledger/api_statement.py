"""Statements over HTTP: in pages for the app, as a file for whoever keeps books; and what came to nothing, which no entry shows."""

import asyncio
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from tenure.contracts.points import Wallet
from tenure.contracts.programme import Programme
from tenure.edge import Page, answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Day, MemberId
from tenure.edge.http import App, json_response
from tenure.edge.paging import Cursor, Limit, Signed, decode_cursor, page_of
from tenure.edge.problems import Problem

from points_ledger import sheets, statement, unpaid, words
from points_ledger.rules.account import ADJUSTMENT, Kind
from points_ledger.statement import Filter, From, Line, Statement

LOOKS: Final = ("member", "agent", "operator", "core", "sre", "service")
Looks = Annotated[Caller, Depends(caller(*LOOKS))]
Kinds = Annotated[list[Kind] | None, Query(max_length=12, description="only these kinds; may be repeated")]
Since = Annotated[Day | None, Query(alias="from", description="the first value date")]
Until = Annotated[Day | None, Query(alias="to", description="the day after the last value date")]
Language = Literal["zh", "en"]
HEADS: Final[dict[Language, tuple[str, ...]]] = {
    "zh": ("日期", "类型", "说明", "业务号", "收入", "支出", "余额", "账户", "记账时间", "明细号"),
    "en": ("Date", "Kind", "What for", "Reference", "In", "Out", "Balance", "Wallet", "Booked at", "Entry"),
}
KINDS: Final[dict[str, tuple[str, str]]] = {
    "grant": ("获得", "Earned"), "activate": ("生效", "Active now"), "hold": ("预留", "Reserved"),
    "capture": ("兑换", "Spent"), "release": ("释放", "Set free"), "refund": ("退还", "Refunded"),
    "reverse": ("冲回", "Taken back"), "restore": ("恢复", "Given back"), "repay": ("抵扣欠额", "Debt repaid"),
    "expire": ("过期", "Expired"), "adjust": ("调整", "Adjusted"), "merge": ("客户合并", "Customers merged"),
}  # fmt: skip
ORDER: Final = words.Said("订单", "Order")
WALLETS_ZH: Final[dict[str, str]] = {"points": "积分", "growth": "成长值", "agent": "代理人积分"}
_BALANCES: Final[dict[Language, tuple[str, str]]] = {
    "zh": ("期初余额", "期末余额"),
    "en": ("Opening balance", "Closing balance"),
}


class _Cursors:
    """The cursors of statements; the secret is read once a process."""

    def __init__(self) -> None:
        self._secret = b""

    async def of(self, conn: Any, member_id: str) -> Signed:
        self._secret = self._secret or await statement.secret(conn)
        return Signed(self._secret, f"statement of {member_id}")


def router(app: App) -> APIRouter:
    """Statements."""
    routes = APIRouter()
    _entries(routes, app, _Cursors())
    _nothings(routes, app)
    return routes


def _entries(routes: APIRouter, app: App, cursors: _Cursors) -> None:
    @routes.get("/wallets/{member_id}/statement", openapi_extra=answers(Page[Line]))
    async def lines(
        member_id: MemberId,
        who: Looks,
        limit: Limit = 50,
        cursor: Cursor = None,
        wallet: Wallet | None = None,
        kind: Kinds = None,
        since: Since = None,
        until: Until = None,
    ) -> Response:
        """Every movement, newest first, with what stood after it."""
        who.must_see(member_id)
        which = Filter(wallet, tuple(kind or ()), since, until)
        async with app.connection() as conn:
            signed = await cursors.of(conn, member_id)
            rows = await statement.page(conn, member_id, signed.decode(cursor, From), which, limit + 1)
        page = page_of(rows, limit, key=lambda row: row[1], show=lambda row: row[0], encode=signed.encode)
        return json_response(page)

    @routes.get("/wallets/{member_id}/statement/file", responses=sheets.FILES, response_class=Response)
    async def file(
        member_id: MemberId,
        who: Looks,
        wallet: Wallet | None = None,
        kind: Kinds = None,
        since: Since = None,
        until: Until = None,
        form: Annotated[sheets.Format, Query(alias="format")] = "csv",
        language: Language = "zh",
    ) -> Response:
        """The statement by value date, oldest first, between its opening and closing balance, as CSV or Excel."""
        who.must_see(member_id)
        async with app.connection() as conn:
            found = await statement.whole(conn, member_id, Filter(wallet, tuple(kind or ()), since, until))
        if found is None:
            raise Problem("statement_too_long")
        rows = _rows(await app.rules(), found, language)
        title = "积分对账单" if language == "zh" else "Statement"
        return await asyncio.to_thread(sheets.answer, form, "statement", HEADS[language], rows, title=title)


def _nothings(routes: APIRouter, app: App) -> None:
    @routes.get("/wallets/{member_id}/unpaid", openapi_extra=answers(Page[unpaid.CameToNothing]))
    async def nothing(member_id: MemberId, who: Looks, limit: Limit = 50, cursor: Cursor = None) -> Response:
        """Activities that earned nothing, also under numbers merged into this one, newest day first, each with why in a sentence.
        What earned after all (steps corrected upwards) is not among them; after some months they are forgotten.
        """
        who.must_see(member_id)
        after = decode_cursor(cursor, unpaid.Place) or unpaid.BEGINNING
        rows = await unpaid.page(app.pool, await app.rules(), member_id, after, limit + 1)
        return json_response(page_of(rows, limit, key=lambda row: row[1], show=lambda row: row[0]))


def _rows(programme: Programme, found: Statement, language: Language) -> list[tuple[sheets.Cell, ...]]:
    first, last = _BALANCES[language]
    opening = [_balance(first, wallet, points, language) for wallet, points in found.opening.items()]
    closing = [_balance(last, wallet, points, language) for wallet, points in found.closing.items()]
    return [*opening, *(_row(programme, line, language) for line in found.lines), *closing]


def _balance(name: str, wallet: str, points: int, language: Language) -> tuple[sheets.Cell, ...]:
    return (None, name, None, None, None, None, points, _wallet(wallet, language), None, None)


def _wallet(code: str, language: Language) -> str:
    return WALLETS_ZH.get(code, code) if language == "zh" else code


def _row(programme: Programme, line: Line, language: Language) -> tuple[sheets.Cell, ...]:
    label, reference = _about(programme, line)
    return (
        line.effective,
        KINDS.get(line.kind, (line.kind, line.kind))[language == "en"],
        label[language == "en"],
        reference,
        max(line.change, 0),
        max(-line.change, 0),
        line.balance,
        _wallet(line.wallet, language),
        line.recorded_at,
        line.entry_id,
    )


def _about(programme: Programme, line: Line) -> tuple[words.Said, str | None]:
    """What a line was for: the order, not what the points spent on it had been earned for; nor is a deduction for that. What earned
    them is called as it was then: rules may be gone since.
    """
    if line.hold_id:
        return ORDER, line.order_reference or line.hold_id
    if line.kind == "adjust" and line.change <= 0:
        return words.OWN_LABELS[ADJUSTMENT], None
    code = line.rule or ""
    return words.label_of(programme.earning.at(line.earned_on or line.effective).find(code), code), line.reference
