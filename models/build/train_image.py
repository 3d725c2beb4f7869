"""Train the last stages of the image tower and its projection: one thing, drawn by many hands, one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.build.features import FROZEN_STAGES, SEED, Views

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_BATCH = 8


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """How the image tower is trained.

    Attributes:
        steps: of the optimizer.
        classes: in a batch, each with two views by two vendors.
        temperature: of the contrastive loss.
        head_rate: learning rate of the projection.
        tail_rate: of the last stages of the trunk; 0 keeps them as they are.
        kept: share of the starting weights in what ships; the rest are trained ones (WiSE-FT, Wortsman et
            al. 2022), so that what ImageNet taught is not lost.
    """

    steps: int = 500
    classes: int = 128
    temperature: float = 0.06
    head_rate: float = 1e-3
    tail_rate: float = 2e-4
    kept: float = 0.3


def list_tail(trunk: nn.Module) -> nn.Module:
    """The trunk's layers behind the frozen ones, up to the pooled features (N, 1280)."""
    from torch import nn

    return nn.Sequential(*trunk.blocks[FROZEN_STAGES:], trunk.conv_head, trunk.bn2, trunk.global_pool)


def embed_views(module: nn.Module, views: Views) -> Tensor:
    """The module's output for all views, (N, D) float32."""
    import torch

    with torch.no_grad():
        parts = [module(_to_maps(part)) for part in _split(views.maps)]
        return torch.cat(parts)


def start_head(head: nn.Linear, features: Tensor) -> None:
    """Principal components, centred and half whitened: distances among features nearly as they were."""
    import torch

    mean = features.mean(0)
    _, values, rows = torch.linalg.svd(features - mean, full_matrices=False)
    count = head.out_features
    scale = (values[:count] / math.sqrt(len(features))) ** -0.5
    weight = rows[:count] * scale[:, None]
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(-weight @ mean)


def train_image_tower(
    visual: nn.Module,
    passes: Sequence[Views],
    plan: ImagePlan,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Train in place; at the end the last stages are mixed with what they were.

    Normalization keeps ImageNet's statistics: `visual` is in evaluation mode and stays so.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    tail, head = list_tail(visual.trunk), visual.head.proj
    trained = nn.Sequential(tail, head)
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    groups = [{"params": list(head.parameters()), "lr": plan.head_rate}]
    if plan.tail_rate:
        groups.append({"params": list(tail.parameters()), "lr": plan.tail_rate})
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * step / plan.steps)),
    )
    rng = np.random.default_rng(SEED)
    labels = torch.arange(plan.classes)
    for step in range(plan.steps):
        maps = _draw_pairs(passes, rng, plan.classes)
        with torch.set_grad_enabled(bool(plan.tail_rate)):
            features = torch.cat(
                [tail(part.contiguous(memory_format=torch.channels_last)) for part in maps.split(_BATCH * 4)]
            )
        one, two = functional.normalize(head(features), dim=-1).chunk(2)
        logits = one @ two.T / plan.temperature
        loss = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 25 == 0 or step == plan.steps - 1:
            report(f"image step {step}: loss {loss.item():.3f}")
    mix(trained, before, kept=plan.kept)


def mix(module: nn.Module, before: Mapping[str, Tensor], *, kept: float) -> None:
    """Move the weights towards those they were, by this share of the way."""
    after = module.state_dict()
    module.load_state_dict(
        {
            name: tensor.lerp(before[name], kept) if tensor.is_floating_point() else tensor
            for name, tensor in after.items()
        }
    )


def _draw_pairs(passes: Sequence[Views], rng: np.random.Generator, classes: int) -> Tensor:
    """(2 * classes, 112, H, W): for each drawn class two views by two vendors."""
    import torch

    table = _index(passes)
    chosen = rng.choice(len(table), classes, replace=False)
    halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for number in chosen:
        rows = table[number]
        for half, row in zip(halves, rng.choice(len(rows), 2, replace=False), strict=True):
            half.append(passes[rng.integers(len(passes))].maps[rows[row]])
    return torch.from_numpy(np.stack(halves[0] + halves[1]).astype(np.float32))


_tables: dict[int, list[np.ndarray]] = {}


def _index(passes: Sequence[Views]) -> list[np.ndarray]:
    """Rows of each class that two vendors draw; every pass has the same rows."""
    first = passes[0]
    if id(first) not in _tables:
        order = np.argsort(first.emoji, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(first.emoji[order])) + 1)
        _tables[id(first)] = [group for group in groups if len(group) > 1]
    return _tables[id(first)]


def _to_maps(maps: np.ndarray) -> torch.Tensor:
    import torch

    return torch.from_numpy(maps.astype(np.float32)).contiguous(memory_format=torch.channels_last)


def _split(maps: np.ndarray) -> list[np.ndarray]:
    return [maps[start : start + 4 * _BATCH] for start in range(0, len(maps), 4 * _BATCH)]
