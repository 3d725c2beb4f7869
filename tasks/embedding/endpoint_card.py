"""What a model behind an address is: what the operator says of it, and a tokenizer on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from schemas.embedding import EmbeddingSpace
from schemas.errors import ConfigurationError, ModelNotAvailable
from schemas.release import Kind
from schemas.settings import EndpointSettings
from tasks.chunking.tokens import TokenCounter
from tasks.embedding.card import DEFAULT_TEXT_MODEL, ModelCard, resolve_model

PREFIX = "endpoint:"
"""What the name of a model begins with that is one of the configured endpoints."""
QUERY_PATIENCE_S = 10.0
"""By when a search has asked an endpoint for the last time; words alone can answer it."""
_TOKENIZER_FILES = ["tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "config.json", "*.model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCard(ModelCard):
    """A text model that is asked by HTTP; `path` is a folder with the tokenizer that chunks are counted with.

    Attributes:
        endpoint_name: as configured.
        endpoint: its settings.
        patience_s: seconds in which a query may be asked again where somebody waits for it; a run's are many.
    """

    endpoint_name: str
    endpoint: EndpointSettings
    patience_s: float = inf

    def space(self) -> EmbeddingSpace:
        """The space of its vectors; the address is no part of it, what the operator vouches for is."""
        return replace(ModelCard.space(self), provider="openai")

    def hurried(self) -> EndpointCard:
        """The card for queries that somebody waits for."""
        return replace(self, patience_s=QUERY_PATIENCE_S)


def resolve_endpoint(
    kind: Kind, name: str, endpoints: Mapping[str, EndpointSettings], *, cache_dir: Path | None = None
) -> EndpointCard:
    """The card of a configured endpoint; it is not asked.

    Raises:
        ConfigurationError: there is no such endpoint, it cannot embed such items, or its prompt is too long.
        ModelNotAvailable: its tokenizer is not here and cannot be fetched.
    """
    endpoint = endpoints.get(name)
    if endpoint is None:
        raise ConfigurationError(
            f"There is no endpoint {name!r}.",
            advice=f"Configured are: {', '.join(sorted(endpoints))}."
            if endpoints
            else f"Describe it in revector.toml: [endpoints.{name}].",
        )
    if kind == "images":
        raise ConfigurationError(
            f"The endpoint {name!r} embeds texts, but the collection holds images.",
            advice="Name a model of images, such as ViT-B-32 or small-clip.",
        )
    folder = _find_tokenizer(endpoint.tokenizer, cache_dir)
    return EndpointCard(
        name=endpoint.model,
        path=folder,
        revision=endpoint.revision,
        dim=endpoint.dim,
        max_tokens=_room(name, endpoint, TokenCounter.for_model(folder)),
        document_prompt=endpoint.document_prompt,
        query_prompt=endpoint.query_prompt,
        endpoint_name=name,
        endpoint=endpoint,
    )


def _find_tokenizer(name: str | None, cache_dir: Path | None) -> Path:
    if name is None or name == DEFAULT_TEXT_MODEL:
        return resolve_model(DEFAULT_TEXT_MODEL).path
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise ModelNotAvailable(
            f"There is no folder {name} with a tokenizer.",
            advice="Give the folder of the model's tokenizer.json, or its hub name.",
        )
    from tasks.embedding.hub import Choice, HubKind, find_hub_model

    kind = HubKind(
        choices=(Choice(allow=_TOKENIZER_FILES),),
        check=TokenCounter.for_model,
        instead="name that folder as the endpoint's `tokenizer`",
    )
    return find_hub_model(name, cache_dir=cache_dir, kind=kind)[0]


def _room(name: str, endpoint: EndpointSettings, counter: TokenCounter) -> int:
    """Tokens that are left for a text, as a model's own card has them."""
    prompt = counter.count([endpoint.document_prompt])[0] if endpoint.document_prompt else 0
    room = endpoint.max_tokens - counter.special_tokens - prompt
    if room < 1:
        raise ConfigurationError(
            f"The document_prompt of endpoint {name!r} takes all of its {endpoint.max_tokens} tokens.",
            advice="Shorten it, or raise max_tokens if the model reads more.",
        )
    return room
