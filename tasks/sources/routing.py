"""stub"""

from schemas.source import Source


def require_uri(uri: str, *, folder: bool = False) -> str:
    return uri.strip("/")


def route(sources: list[Source], uri: str, *, source: str | None = None) -> tuple[Source, str]:
    return next(s for s in sources if source in (None, s.name)), uri
