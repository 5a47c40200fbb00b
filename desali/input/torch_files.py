"""A look at a file of `torch.save` before torch reads it: what its tensors ask for must be there.

torch takes the sizes in a file as they stand: a few hundred bytes can ask for gigabytes, and a changed digit makes it
read past the end of a record. The pickles are walked here by an unpickler that makes nothing, so no code runs.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError
from desali.limits import WEIGHTS_BYTES, expands_too_much

if TYPE_CHECKING:
    from torch import Tensor

ITEM_BYTES = {
    "ByteStorage": 1, "CharStorage": 1, "BoolStorage": 1, "UntypedStorage": 1, "QUInt8Storage": 1, "QInt8Storage": 1,
    "HalfStorage": 2, "BFloat16Storage": 2, "ShortStorage": 2, "FloatStorage": 4, "IntStorage": 4, "QInt32Storage": 4,
    "DoubleStorage": 8, "LongStorage": 8, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
}  # fmt: skip
LEGACY_PICKLES = 4
"""Before the storages of a file of torch < 1.6: magic number, protocol, system and the object itself."""


class _Nothing(dict[Any, Any]):
    """Stands for whatever a pickle would make, and takes whatever a pickle does to it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Nothing."""

    def extend(self, items: Any) -> None:
        """Nothing."""


class _Walker(pickle._Unpickler):  # the one in C believes sizes, too
    """Collects (name of the storage's class, key, number of elements) of all storages."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: list[tuple[str, str, int]] = []

    def find_class(self, module: str, name: str) -> Any:
        return type(name if name.isidentifier() else "Nothing", (_Nothing,), {})

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[4], int):
            self.storages.append((getattr(pid[1], "__name__", ""), str(pid[2]), pid[4]))
        return _Nothing()

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("an extension code")


def check_torch_file(data: bytes, name: str, error: type[DesaliError], advice: str) -> None:
    """Refuse the content `data` of a torch file whose tensors ask for more than it holds.

    What is damaged in another way is left to torch to say.

    Raises:
        error: it asks for more than it holds, or expands to more than `desali.limits` accepts.
    """
    try:
        for asked, held in _zipped(data) if data.startswith(b"PK") else _legacy(data):
            if not 0 <= asked <= held:
                raise error(f"{name}: damaged (its tensors take more bytes than it holds); {advice}")
    except DesaliError:
        raise
    except _TooLarge as found:
        raise error(f"{name}: unpacks to {found}") from None
    except Exception:  # a damaged pickle or zip file raises anything; torch says it
        return


class _TooLarge(Exception):
    """What a file unpacks to, beyond the limits."""


def _zipped(data: bytes) -> Iterator[tuple[int, int]]:
    """(bytes that a storage asks for, bytes of its record)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        total = sum(info.file_size for info in members.values())
        too_large = WEIGHTS_BYTES.exceeded(total) or expands_too_much(total, len(data))
        if too_large:
            raise _TooLarge(too_large)
        for filename in [name for name in members if name.rpartition("/")[2] == "data.pkl"]:
            root = filename.removesuffix("data.pkl")
            walker = _Walker(io.BytesIO(archive.read(filename)))
            with_error: Exception | None = None
            try:
                walker.load()
            except Exception as found:
                with_error = found
            for kind, key, count in walker.storages:
                record = members.get(f"{root}data/{key}")
                yield count * ITEM_BYTES.get(kind, 1), record.file_size if record else 0
            if with_error is not None:
                raise with_error


def _legacy(data: bytes) -> Iterator[tuple[int, int]]:
    file = io.BytesIO(data)
    for _ in range(LEGACY_PICKLES):
        walker = _Walker(file)
        try:
            walker.load()
        finally:
            found = walker.storages
        total = sum({key: count * ITEM_BYTES.get(kind, 1) for kind, key, count in found}.values())
        yield total, len(data)


def check_tensor(key: str, tensor: Tensor, name: str, error: type[DesaliError], advice: str) -> None:
    """Refuse a tensor that names more elements than its memory holds: one number expanded to gigabytes.

    Raises:
        error: it does, and takes more than 64 MiB.
    """
    import torch

    if tensor.layout is not torch.strided or tensor.is_meta:
        raise error(f"{name}: {key} is {_layout(tensor)}, expected a dense tensor of numbers; {advice}")
    size = tensor.numel() * tensor.element_size()
    too_much = expands_too_much(size, 1) if size > tensor.untyped_storage().nbytes() else ""
    if too_much:
        raise error(f"{name}: {key} repeats few numbers {list(tensor.shape)} times; save it with .contiguous()")


def _layout(tensor: Tensor) -> str:
    return "on the meta device" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
