"""The crash campaign: kill -9 at random moments; `python -m tests.acceptance.crash --kills 120`."""
