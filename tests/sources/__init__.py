"""Sources: object stores, against a server on this machine."""
