"""The service of one machine: what `revector up`, `deploy` and `webhook` start, and who asks for runs."""
