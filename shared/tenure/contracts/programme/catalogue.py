"""`programme/catalogue.yaml`."""

from datetime import date

import msgspec


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    effective: date
