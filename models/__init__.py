"""Models that ship with the project, and the scripts that build them."""
