"""Build `models/small_clip` from published weights and emoji: `python -m models.build`."""
