"""The fuzz campaign: damaged files through the real ingest; `python -m tests.acceptance.fuzz`."""
