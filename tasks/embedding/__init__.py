"""Turning texts and images into vectors. Frameworks are imported by loaders only."""
