"""The commands of the command line, by occasion. `flows.cli` puts them together."""
