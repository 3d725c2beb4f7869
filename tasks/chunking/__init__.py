"""Cutting clean documents into chunks whose boundaries follow the content."""

from tasks.chunking.base import CHUNKING_VERSION, chunk_document, default_policy
from tasks.chunking.tokens import TokenCounter

__all__ = ["CHUNKING_VERSION", "TokenCounter", "chunk_document", "default_policy"]
