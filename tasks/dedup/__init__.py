"""Near-duplicates: signatures, similarity, candidates and election."""
