"""What is done: plain functions on one batch. Prefect appears in `tasks.steps` alone."""
