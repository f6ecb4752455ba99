"""`programme/earning.yaml`."""

from datetime import date

import msgspec


class EarningRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    effective: date
