"""Train the text tower on names, so that a word lies near the images of what it names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.build.emoji import Emoji
from models.build.features import SEED

if TYPE_CHECKING:
    from torch import Tensor, nn

ENGLISH_FORMS = ("{}", "{}", "a photo of a {}", "a picture of a {}", "{} emoji")
KOREAN_FORMS = ("{}", "{}", "{} 사진", "{} 그림", "{} 이모지")
Tokenize = Callable[[Sequence[str]], "Tensor"]


@dataclass(frozen=True, slots=True)
class TextPlan:
    """How the text tower is trained.

    Attributes:
        steps: of the optimizer.
        classes: in a batch, each with one text and one image.
        rate: learning rate.
        dropped: share of a text's embedded tokens that are silenced, against learning texts by heart.
    """

    steps: int = 1400
    classes: int = 192
    rate: float = 1e-3
    dropped: float = 0.1


def train_text_tower(
    clip: nn.Module,
    tokenize: Tokenize,
    emoji: Sequence[Emoji],
    images: Sequence[np.ndarray],
    plan: TextPlan,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Train in place; the image tower is not touched.

    Args:
        clip: the model.
        tokenize: its tokenizer.
        emoji: the classes of training.
        images: for each of them unit vectors (n, D) by the trained image tower.
        plan: how.
        report: told how far it is.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    weights = [tensor for name, tensor in clip.named_parameters() if not name.startswith("visual.")]
    with torch.no_grad():
        # a token that training never meets says nothing; rows of zeros also pack to nothing in a wheel
        rows = list_tokens(tokenize, emoji)
        unmet = torch.ones(clip.token_embedding.num_embeddings, dtype=torch.bool)
        unmet[rows] = False
        clip.token_embedding.weight[unmet] = 0
    optimizer = torch.optim.AdamW(weights, lr=plan.rate, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / plan.steps)),
    )
    silence = clip.token_embedding.register_forward_hook(
        lambda _, __, out: out * (torch.rand(out.shape[:2]) > plan.dropped).unsqueeze(-1)
    )
    labels = torch.arange(plan.classes)
    for step in range(plan.steps):
        chosen = rng.choice(len(emoji), plan.classes, replace=False)
        # one language a batch: English names are a third as long in tokens, and padding costs as much as text
        texts = [draw_text(emoji[place], rng, is_korean=bool(step % 2)) for place in chosen]
        vectors = torch.from_numpy(np.stack([_draw_image(images[place], rng) for place in chosen]))
        named = encode_short(clip, tokenize(texts))
        logits = clip.logit_scale.exp().clamp(max=50) * named @ functional.normalize(vectors, dim=-1).T
        loss = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == plan.steps - 1:
            report(f"text step {step}: loss {loss.item():.3f}")
    silence.remove()


def encode_short(clip: nn.Module, tokens: Tensor) -> Tensor:
    """Unit vectors (N, D), equal to `clip.encode_text`, without computing the columns that only pad."""
    from torch.nn import functional

    length = int((tokens != 0).sum(1).max())
    tokens = tokens[:, :length]
    x = clip.token_embedding(tokens) + clip.positional_embedding[:length]
    x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
    last = x[range(len(x)), tokens.argmax(dim=-1)]
    return functional.normalize(last @ clip.text_projection, dim=-1)


def _draw_image(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the times the mean of all vendors, the centre of what a word names; else one of them."""
    return vectors.mean(0) if rng.random() < 0.5 else vectors[rng.integers(len(vectors))]


def draw_text(one: Emoji, rng: np.random.Generator, *, is_korean: bool) -> str:
    """A name of the class in one of the two languages, or some of its tags."""
    names, forms = (one.english, ENGLISH_FORMS) if not is_korean else (one.korean, KOREAN_FORMS)
    kind = rng.random()
    if kind < 0.55 or len(names) == 1:
        name = names[0]
    elif kind < 0.75:
        name = names[rng.integers(1, len(names))]
    else:
        name = " ".join(rng.permutation(names[1:])[:3])
    return forms[rng.integers(len(forms))].format(name)


def list_tokens(tokenize: Tokenize, emoji: Sequence[Emoji]) -> Tensor:
    """All tokens of all names in all forms."""
    import torch

    texts = [
        form.format(name)
        for one in emoji
        for names, forms in ((one.english, ENGLISH_FORMS), (one.korean, KOREAN_FORMS))
        for name in names
        for form in forms
    ]
    return torch.unique(tokenize([*texts, *(chr(n) for n in range(32, 127))]))
