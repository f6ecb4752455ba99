"""Every limit of the mall, its unit last, and how they must stand to one another."""

from typing import Final

QUOTE_TTL_S: Final = 600
QUANTITY_MAX: Final = 20
CODES_PER_UPLOAD_MAX: Final = 1_000
CODE_CHARS_MAX: Final = 128
STOCK_DELTA_MAX: Final = 1_000_000
SHELF_UNITS_MAX: Final = 1_000_000_000
"""Units ever stocked of one SKU, less those taken off."""
LOW_STOCK_UNITS: Final = 10

INLINE_DEADLINE_S: Final = 4.0
"""How long POST /v1/orders drives an order before it answers 202."""
LEASE_S: Final = 15
"""How long whoever works on an order keeps others from it; after a crash a worker continues then."""
GIVE_UP_S: Final = 300
"""A hold that nobody confirmed for so long is given up: points and stock go back."""
RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
ORDERS_AT_ONCE_MAX: Final = 100
IDLE_WAIT_S: Final = 0.5
QUOTES_KEPT_S: Final = 86_400
SWEEP_QUOTES_EVERY_S: Final = 600

LEDGER_CONNECT_TIMEOUT_S: Final = 1.0
LEDGER_ANSWER_TIMEOUT_S: Final = 5.0
LEDGER_CONNECTIONS_MAX: Final = 64

assert INLINE_DEADLINE_S < LEASE_S, "a worker must not take an order that its caller still drives"
assert LEDGER_ANSWER_TIMEOUT_S < LEASE_S, "one call must end within the lease"
assert QUOTE_TTL_S < QUOTES_KEPT_S, "a valid quote is not swept away"
assert RETRY_FIRST_S <= RETRY_MAX_S < GIVE_UP_S
