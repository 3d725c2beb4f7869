"""What this machine's devices can do. Imported by loaders only: torch comes with it."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from schemas.errors import ConfigurationError
from tasks.cores import usable_cores

# Widths that fill the device without starving it; CPU: 2,048 was 1.46 times batch 32 (2026-11).
_BUDGETS = {"cpu": 2_048, "mps": 8_192, "cuda": 32_768}
# Vectors fetched from an accelerator, and stored, together: each time the device waits for the host.
_BLOCKS = {"mps": 1_024, "cuda": 4_096}
_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate",
    "invalid buffer size",
)

_processes = 1


def choose_device(device: str) -> str:
    """The device asked for; of ``auto``, the best of cuda, mps, cpu.

    Raises:
        ConfigurationError: the device asked for is not in this machine.
    """
    if device != "auto":
        _check_device(device)
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_devices(devices: str) -> list[str]:
    """Those of a comma list, or all CUDA devices for ``cuda:*``; nothing is put on a GPU to find out.

    Raises:
        ConfigurationError: a device is not in this machine.
    """
    count = torch.cuda.device_count()
    listed = devices.replace(" ", "").split(",")
    names = ["cuda:0" if name == "cuda" else name for name in listed]
    if devices == "cuda:*":
        names = [f"cuda:{number}" for number in range(max(1, count))]
    for name in names:
        if not name.startswith("cuda"):
            choose_device(name)
        elif int(name.partition(":")[2]) >= count:
            raise ConfigurationError(
                f"The device {name!r} is not in this machine: PyTorch sees {count} CUDA devices.",
                advice="Name those that are there, or use device='auto'; see also CUDA_VISIBLE_DEVICES.",
            )
    return names


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        reason = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        if isinstance(exc, NotImplementedError):  # its first line is a page long
            reason = "PyTorch does not support it on this machine"
        raise ConfigurationError(
            f"The device {device!r} cannot be used: {reason.rstrip('.')}.",
            advice="Use device='auto' or 'cpu'.",
        ) from exc


def choose_budget(device: str) -> int:
    """Padded tokens of a batch."""
    return _BUDGETS.get(device.split(":")[0], 2_048)


def choose_block(device: str) -> int | None:
    """Texts that an accelerator embeds before its vectors are fetched and stored; None on a CPU."""
    return _BLOCKS.get(device.split(":")[0])


def choose_half(device: str) -> str | None:
    """The 16-bit format that the device computes in itself, `bfloat16` before `float16`; None for neither."""
    if has_fast_bfloat16(device):
        return "bfloat16"
    is_volta = device.startswith("cuda") and torch.cuda.get_device_capability(device) >= (7, 0)
    return "float16" if is_volta else None


def choose_attention(device: str, dtype: str) -> str | None:
    """A faster attention than PyTorch's own (`sdpa`), where it is installed and the device takes it.

    Its kernels read 16-bit formats only. Inputs stay padded: with batches of nearly equal length
    under 2 % of the tokens are padding, so there is nothing to gain from packing them.
    """
    if not device.startswith("cuda") or dtype not in ("bfloat16", "float16"):
        return None
    from transformers.utils.import_utils import is_flash_attn_2_available

    fits = torch.cuda.get_device_capability(device) >= (8, 0)
    return "flash_attention_2" if fits and is_flash_attn_2_available() else None


def to_device(array: NDArray[Any], device: str) -> torch.Tensor:
    """The array on the device; the copy to a CUDA device is not waited for."""
    tensor = torch.from_numpy(array)
    if device.startswith("cuda"):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def has_fast_bfloat16(device: str) -> bool:
    """Whether the device computes in bfloat16 itself: asked of it, not timed."""
    if device.startswith("cuda"):
        return bool(torch.cuda.get_device_capability(device) >= (8, 0))
    if device != "cpu":
        return False
    features = torch.cpu.get_capabilities()
    return any(features.get(key) for key in ("amx_bf16", "avx512_bf16"))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is the device's or the host's allocator giving up."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    message = str(error).lower()
    return any(text in message for text in _OUT_OF_MEMORY)


def release_memory(device: str) -> None:
    """Give cached blocks back, so that a smaller batch finds room."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


def set_threads() -> int:
    """Compute threads: the cores this process may use, which in a container are few."""
    cores = share_of_cores()
    if torch.get_num_threads() > cores:
        torch.set_num_threads(cores)
    return torch.get_num_threads()


def work_beside(processes: int, device: str) -> None:
    """This process is one of so many, each with its device: say so before a model is loaded.

    It takes its share of the cores. What names no device is for its own one: pinned memory alone would
    put a context of each process on the first GPU.
    """
    global _processes
    _processes = processes
    if device.startswith("cuda"):
        torch.cuda.set_device(device)


def share_of_cores() -> int:
    """This process's share of the usable cores, at least one."""
    return max(1, usable_cores() // _processes)
