"""PyTorch modules, tensors and state dicts: ``.pt``, or safetensors on request."""

from __future__ import annotations

import json
import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, ClassVar

import cloudpickle
from attrs import frozen

from flowyml.errors import SerializationError, TrustError
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource

__all__ = ["Safetensors", "StateDict", "Torch"]

DEEPEST = 100

UNPICKLABLE = (pickle.PicklingError, AttributeError, RecursionError, RuntimeError, TypeError)


@frozen
class Torch:
    """``model.pt``: a module with its class, or a tensor.

    Unless the project vouches for the file it is read with ``weights_only``, which takes tensors
    and plain containers and refuses all that could run code, a whole module too.
    """

    name: ClassVar[str] = "torch"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "model.pt"

    def writer(self, value: object) -> Write:
        """Take any value that torch saves."""
        return lambda sink: self._write(sink, value)

    def _write(self, sink: FileSink, value: object) -> None:
        import torch

        with sink.open(self.FILE) as file:
            try:
                torch.save(value, file, pickle_module=cloudpickle)
            except UNPICKLABLE as cause:
                message = (
                    f"the {type(value).__qualname__} cannot be saved: {cause}; "
                    "return its state_dict() instead"
                )
                raise SerializationError(message) from cause

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Map the file; what was on a device that is not here comes back on the CPU."""
        import torch

        device = None if torch.cuda.is_available() else "cpu"
        path = source.path(self.FILE)
        try:
            return torch.load(path, map_location=device, weights_only=not trusted, mmap=True)
        except pickle.UnpicklingError as cause:
            if trusted:
                message = f"{self.FILE} is damaged: {cause}"
                raise SerializationError(message) from cause
            message = (
                f"{source.manifest.name!r} is a torch file with more than weights in it, and this "
                "project did not store it; say `trust: pickle` in the stack if you know where it "
                "comes from, or store the state_dict()"
            )
            raise TrustError(message) from cause
        except (EOFError, RuntimeError, ValueError) as cause:
            message = f"{self.FILE} is not a file that torch wrote: {cause}"
            raise SerializationError(message) from cause


@frozen
class StateDict(Torch):
    """``model.pt``: a dict with tensors in it, which is read back without running code."""

    def writer(self, value: object) -> Write:
        """Refuse a dict without tensors, and anything that ``weights_only`` would not read."""
        torch = sys.modules.get("torch")
        leaves = list(_leaves(value)) if torch else []
        if torch is None or not any(type(leaf) is torch.Tensor for leaf in leaves):
            message = "there is no tensor in it"
            raise SerializationError(message)
        for leaf in leaves:
            if type(leaf) not in {torch.Tensor, bool, float, int, str, type(None)}:
                message = f"there is a {type(leaf).__qualname__} beside the tensors"
                raise SerializationError(message)
        return super().writer(value)


@frozen
class Safetensors:
    """``model.safetensors``: a dict of tensors by name, on request."""

    name: ClassVar[str] = "safetensors"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "model.safetensors"

    def writer(self, value: object) -> Write:
        """Refuse anything but a dict of contiguous tensors that share no memory."""
        if type(value) not in {dict, OrderedDict}:
            message = (
                f"safetensors holds a dict of tensors, not a {type(value).__qualname__}; "
                "return the state_dict()"
            )
            raise SerializationError(message)
        items: Any = value
        return lambda sink: self._write(sink, items)

    def _write(self, sink: FileSink, tensors: Any) -> None:
        library = _safetensors()
        kept = {"class": type(tensors).__name__, "keys": json.dumps(list(tensors))}
        try:
            with sink.reserve(self.FILE) as path:
                library.save_file(dict(tensors), path, metadata=kept)
        except (AttributeError, RuntimeError, TypeError, ValueError) as cause:
            message = f"safetensors cannot hold this dict exactly: {cause}; ask for `format: torch`"
            raise SerializationError(message) from cause

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Map the tensors, in the order they had."""
        del trusted
        import safetensors

        _safetensors()
        try:
            with safetensors.safe_open(source.path(self.FILE), framework="pt") as file:
                kept = file.metadata()
                made = {key: file.get_tensor(key) for key in json.loads(kept["keys"])}
        except (safetensors.SafetensorError, LookupError, TypeError, ValueError) as cause:
            message = f"{self.FILE} is not a file that FlowyML wrote: {cause}"
            raise SerializationError(message) from cause
        return OrderedDict(made) if kept["class"] == "OrderedDict" else made


def _leaves(value: object, depth: int = 0) -> Iterator[object]:
    """Yield what is in dicts, lists and tuples; anything else is a leaf."""
    if type(value) in {dict, OrderedDict} and depth < DEEPEST:
        mapping: Any = value
        for key, item in mapping.items():
            yield key
            yield from _leaves(item, depth + 1)
    elif type(value) in {list, tuple} and depth < DEEPEST:
        items: Any = value
        for item in items:
            yield from _leaves(item, depth + 1)
    else:
        yield value


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as cause:
        message = "`format: safetensors` needs it; install it with `pip install safetensors`"
        raise SerializationError(message) from cause
    return safetensors.torch
