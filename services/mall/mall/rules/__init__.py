"""The mall's decisions, one file each. Pure: no clock, no randomness, no SQL; what the wall says stands in the command."""
