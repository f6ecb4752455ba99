"""Who belongs to which tier, since when and why (DESIGN 5.1, 5.2)."""
