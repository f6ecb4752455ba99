"""The mall's HTTP: `shop` for members, `counter` for operators, `audit` for both ends of the books."""
