"""Files as facts: declared sources (`programme/sources/*.yaml`) and those whose rows need more than a declaration."""
