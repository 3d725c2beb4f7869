"""Bytes of one file to elements: a parser for each format, run in a killable process."""
