"""What is known: the only SQL of the project, and the raw blobs."""
