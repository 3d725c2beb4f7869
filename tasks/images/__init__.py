"""Images as items of a collection: opened safely, read, drafted as versions."""
