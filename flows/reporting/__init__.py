"""What a run leaves for people in the UI of Prefect: reports, tables, charts."""
