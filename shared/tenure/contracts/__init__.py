"""The language between services: events as frozen structs, the table of topics, and the programme as data.

Money is integer fen, points are integers, dates are local dates in Asia/Shanghai, terms are half-open `[start, end)`.
No name, phone, identity number or address stands in any event: ids only (DESIGN section 3).
"""
