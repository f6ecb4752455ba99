"""Rows as files that people open: CSV, and Excel's own format.

The invariant: no text of ours or of anybody else's is ever a formula. In CSV a text that a spreadsheet would take for one is led
by an apostrophe; in Excel's format a text is written as a text. Numbers are numbers in both.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal

from fastapi import Response
from tenure.calendar import SHANGHAI

Format = Literal["csv", "xlsx"]
Cell = str | int | date | datetime | None
CSV_TYPE: Final = "text/csv; charset=utf-8"
XLSX_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file.", "content": {"text/csv": {"schema": {"type": "string"}}, XLSX_TYPE: {}}}
}
_LEADS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe(cell: Cell) -> str | int:
    """A cell of CSV: what begins like a formula is led by an apostrophe, wherever blanks may hide its beginning."""
    if cell is None or isinstance(cell, int):
        return "" if cell is None else cell
    text = _text(cell)
    return f"'{text}" if text.startswith(_LEADS) or text.lstrip().startswith(_LEADS) else text


def _text(cell: str | date | datetime) -> str:
    if isinstance(cell, datetime):
        return cell.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    return cell.isoformat() if isinstance(cell, date) else cell


def as_csv(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """UTF-8 with a mark, by which Excel knows Chinese text for what it is."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return file.getvalue().encode("utf-8-sig")


def as_xlsx(head: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str) -> bytes:
    """One sheet; its head stays in sight."""
    import xlsxwriter  # most processes never write one

    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet(title)
        bold, number = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0"})
        sheet.freeze_panes(1, 0)
        for x, name in enumerate(head):
            sheet.write_string(0, x, name, bold)
        for y, row in enumerate(rows, 1):
            for x, cell in enumerate(row):
                if isinstance(cell, int):
                    sheet.write_number(y, x, cell, number)
                elif cell is not None:
                    sheet.write_string(y, x, _text(cell))
        sheet.autofit()
    return file.getvalue()


def answer(form: Format, name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str) -> Response:
    """The file as a download."""
    body = as_csv(head, rows) if form == "csv" else as_xlsx(head, rows, title=title)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"', "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type=CSV_TYPE if form == "csv" else XLSX_TYPE, headers=headers)
