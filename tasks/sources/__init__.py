"""Sources: list what is there, open one item."""
