"""Which backend runs an op: the compute core or PyTorch, decided and explained by one predicate."""

from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType
from typing import Any

from desali.errors import DesaliError, UnknownNameError

BACKENDS = ("auto", "native", "torch")
LEVELS = ("portable", "avx2", "avx512")
"""Instruction sets that the core has kernels for, the least first; DESALI_SIMD asks for one."""


class BackendError(DesaliError, RuntimeError):
    """The backend that was asked for cannot run; the message says why."""


@functools.cache
def core() -> tuple[ModuleType | None, str | None]:
    """The compiled core and None, or None and the reason why it is absent.

    Raises:
        UnknownNameError: the environment's DESALI_SIMD names an instruction set that this processor does not have.
    """
    import torch  # noqa: F401  (first, so that the core shares torch's OpenMP runtime)

    try:
        module = importlib.import_module("desali._core")
    except ModuleNotFoundError:
        return None, "the compute core was not built at installation; DESALI_BUILD=require pip install . shows why"
    except ImportError as error:
        return None, f"the compute core does not load: {error}"
    asked, here = os.environ.get("DESALI_SIMD"), LEVELS[: LEVELS.index(module.describe()["simd_best"]) + 1]
    if asked and asked not in here:
        raise UnknownNameError("instruction set of this processor (DESALI_SIMD)", asked, here)
    return module, None


def can_run(op: str, device: str = "cpu", dtype: str = "float32", dims: int = 2) -> str | None:
    """None if the core runs `op` on such tensors, else the reason why it does not.

    Args:
        op: name of a function of `desali.ops`.
        device: type of the device, "cpu" or "cuda".
        dtype: "float32", "float64", "float16" or "bfloat16".
        dims: number of spatial dimensions.
    """
    return _can_run(op, device, dtype, dims)


@functools.lru_cache(maxsize=512)
def _can_run(op: str, device: str, dtype: str, dims: int) -> str | None:
    module, reason = core()
    if module is None:
        return reason
    facts: dict[str, Any] = module.describe()
    if op not in facts["ops"].get(device, ()):
        if device == "cuda" and facts["cuda_reason"]:
            return f"the core has no {op} for cuda: {_cuda(facts)}"
        return f"the core has no {op} for {device}"
    if dtype not in facts["dtypes"][device]:
        return f"the core has no {dtype} kernels for {device}"
    highest = 3 if op in ("relu_with_mask", "inverse_relu") else 2
    if dims > highest:
        return f"the core's {op} takes up to {highest} spatial dimensions, got {dims}"
    return None


def use_native(op: str, backend: str, reason: str | None) -> bool:
    """True for the core, False for PyTorch; `reason` is what `can_run` said."""
    if backend == "auto":
        backend = os.environ.get("DESALI_BACKEND", "auto")
    if backend == "auto":
        return reason is None
    if backend == "torch":
        return False
    if backend != "native":
        raise UnknownNameError("backend", backend, BACKENDS)
    if reason is not None:
        raise BackendError(f"backend 'native' cannot run {op}: {reason}; use backend='auto' or 'torch'")
    return True


def describe() -> dict[str, Any]:
    """What was built, what is chosen at run time, and why not, if not; for `desali info`."""
    module, reason = core()
    chosen = os.environ.get("DESALI_BACKEND", "auto")
    facts: dict[str, Any] = {"native": module is not None, "reason": reason, "backend": chosen}
    if module is not None:
        facts.update(module.describe())
        facts["cuda"] = _cuda(facts)
    return facts


def _cuda(facts: dict[str, Any]) -> str:
    """What there is of the CUDA kernels, in a few words."""
    if not facts["cuda_built"]:
        return str(facts["cuda_reason"])
    usable = facts["cuda_reason"] or f"{facts['cuda_devices']} device{'s' * (facts['cuda_devices'] != 1)}"
    return f"built for {facts['cuda_architectures']}; {usable}"
