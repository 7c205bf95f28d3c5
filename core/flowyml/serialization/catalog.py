"""Which formats hold the values of which class, by name, so that no library is imported to ask.

A class is known by the root of its module and its qualified name (``pandas:DataFrame``): libraries
move their classes between submodules. It is looked up along the MRO, the most specific class first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib import import_module
from types import MappingProxyType

from attrs import field, frozen

from flowyml.errors import PluginError, SerializationError
from flowyml.serialization.contract import Serializer
from flowyml.serialization.providers import Provider, provider_for, providers
from flowyml.serialization.tagged import holds_class
from flowyml.spelling import hint

__all__ = [
    "Offer",
    "Provided",
    "automatic",
    "by_format",
    "class_names",
    "for_reading",
    "format_names",
    "provided_formats",
]

Places = Mapping[str, str]


@frozen
class Offer:
    """The formats for one class, each with the place of its serializer (``arrays:Npy``).

    Attributes:
        automatic: Tried in this order when the user names no format.
        requested: Used only when the user names them.
        last: Whether cloudpickle is tried after them.
    """

    automatic: Places
    requested: Places = field(factory=dict)
    last: bool = True


@frozen
class Provided:
    """What other distributions bring.

    Attributes:
        formats: The names of their formats.
        broken: Why some of them cannot be used; each names its distribution.
    """

    formats: frozenset[str]
    broken: tuple[PluginError, ...]


JSON = {"json": "plain:Json"}
PICKLE = {"pickle": "pickles:Pickle"}
MODEL = {"pickle": "pickles:ModelPickle"}
SKOPS = {"skops": "skops_models:Skops"}
TEXT = {
    "csv": "text_tables:TableCsv",
    "json": "text_tables:TableJson",
    "jsonl": "text_tables:TableJsonLines",
}
LAST = {"cloudpickle": "pickles:CloudPickle"}
ANY = {**JSON, **PICKLE, **LAST}
"""Formats that a user may ask for whatever the class is."""

ALIASES = {"feather": "arrow", "ipc": "arrow", "pt": "torch", "txt": "text", "pkl": "pickle"}

OFFERS: Mapping[str, Offer] = MappingProxyType(
    {
        # cloudpickle would read the file and make a StringIO of it.
        "_io:TextIOWrapper": Offer({}, last=False),
        "builtins:bytes": Offer({"bytes": "plain:Bytes"}),
        "builtins:list": Offer(JSON, {"jsonl": "plain:JsonLines"}),
        "builtins:str": Offer({"text": "plain:Text", **JSON}),
        "PIL:Image": Offer({"png": "pictures:Image"}),
        "builtins:dict": Offer(
            {**JSON, "torch": "torch_models:StateDict"},
            {"npz": "arrays:Npz", "safetensors": "torch_models:Safetensors"},
        ),
        "catboost:CatBoost": Offer({"catboost": "boosters:CatBoostCbm", **MODEL}),
        "collections:OrderedDict": Offer(
            {**JSON, "torch": "torch_models:StateDict"},
            {"safetensors": "torch_models:Safetensors"},
        ),
        "keras:Model": Offer({"keras": "keras_models:KerasArchive"}, last=False),
        "lightgbm:Booster": Offer({"lightgbm": "boosters:LightgbmText", **MODEL}),
        "lightgbm:LGBMModel": Offer(MODEL),
        "matplotlib:Figure": Offer({"figure": "pictures:Figure"}, last=False),
        "builtins:generator": Offer(
            {"arrow-generator": "arrow_tables:GeneratorArrow"},
            {"arrow": "arrow_tables:GeneratorArrow"},
            last=False,
        ),
        "numpy:generic": Offer(JSON),
        "numpy:ndarray": Offer({"npy": "arrays:Npy"}),
        "pandas:DataFrame": Offer(
            {"parquet": "frames:FrameParquet"}, {"arrow": "frames:FrameArrow", **TEXT}
        ),
        "pandas:NAType": Offer(JSON),
        "pandas:NaTType": Offer(JSON),
        "pandas:Series": Offer(
            {"parquet": "frames:SeriesParquet"}, {"arrow": "frames:SeriesArrow"}
        ),
        "pandas:Timedelta": Offer(JSON),
        "pandas:Timestamp": Offer(JSON),
        "pathlib:Path": Offer({"path": "paths:PathFiles"}, last=False),
        "polars:DataFrame": Offer(
            {"parquet": "polars_frames:PolarsParquet", "arrow": "polars_frames:PolarsArrow"}, TEXT
        ),
        "polars:LazyFrame": Offer({"parquet": "polars_frames:LazyParquet"}, last=False),
        "polars:Series": Offer(
            {
                "parquet": "polars_frames:PolarsSeriesParquet",
                "arrow": "polars_frames:PolarsSeriesArrow",
            }
        ),
        "onnx:ModelProto": Offer({"onnx": "onnx_models:Onnx"}),
        "pyarrow:RecordBatch": Offer({"arrow": "arrow_tables:BatchArrow"}),
        "pyarrow:RecordBatchReader": Offer(
            {"arrow-reader": "arrow_tables:ReaderArrow"},
            {"arrow": "arrow_tables:ReaderArrow"},
            last=False,
        ),
        "pyarrow:Table": Offer(
            {"parquet": "arrow_tables:TableParquet", "arrow": "arrow_tables:TableArrow"}, TEXT
        ),
        "scipy:sparray": Offer({"npz": "sparse:SparseNpz"}),
        "scipy:spmatrix": Offer({"npz": "sparse:SparseNpz"}),
        "sklearn:BaseEstimator": Offer(MODEL, SKOPS),
        "torch:Module": Offer({"torch": "torch_models:Torch"}, last=False),
        "torch:Tensor": Offer({"torch": "torch_models:Torch"}, last=False),
        "transformers:PreTrainedModel": Offer(
            {"pretrained": "pretrained:PretrainedModel"}, last=False
        ),
        "transformers:PreTrainedTokenizerBase": Offer({"pretrained": "pretrained:Pretrained"}),
        "transformers:ProcessorMixin": Offer({"pretrained": "pretrained:Pretrained"}),
        "xgboost:Booster": Offer({"xgboost": "boosters:XgboostUbj", **MODEL}),
        "xgboost:XGBModel": Offer({"xgboost": "boosters:XgboostUbj", **MODEL}),
    }
)


def automatic(cls: type) -> Iterator[Serializer]:
    """Yield the serializers to try for values of a class, the preferred one first.

    Each is imported when its turn comes.

    Raises:
        PluginError: Two distributions provide one, or the one is broken.
    """
    return (_builtin(way) if isinstance(way, str) else way.load() for way in _automatic(cls))


def by_format(cls: type, format_: str) -> Serializer:
    """Return the serializer of a format that the user asked for.

    Raises:
        SerializationError: No such format for this class; the message lists those that there are.
        PluginError: No such format, and a distribution that may bring it is broken.
    """
    wanted = ALIASES.get(format_, format_)
    formats: dict[str, Serializer] = {}
    for offer in reversed(list(_offers(cls))):
        formats |= {name: _builtin(place) for name, place in _all(offer).items()}
    formats = {name: _builtin(place) for name, place in ANY.items()} | formats
    broken: list[PluginError] = []
    formats |= {serializer.name: serializer for serializer in _third_party(cls, broken)}
    if wanted in formats:
        return formats[wanted]
    if broken:  # whose format has which name is not known
        raise broken[-1]
    message = (
        f"there is no format {format_!r} for a {cls.__module__}.{cls.__qualname__}"
        f"{hint(format_, formats)} "
        f"(there are: {', '.join(sorted(formats))})"
    )
    raise SerializationError(message)


def for_reading(name: str, python_type: str) -> Serializer:
    """Return the serializer that wrote a manifest.

    Args:
        name: The manifest's serializer.
        python_type: The manifest's class of the value; it is compared, never imported.

    Raises:
        SerializationError: No serializer of that name is installed, or the one is broken.
    """
    for offer in _offers_for_reading(python_type):
        if name in (formats := _all(offer)):
            return _builtin(formats[name])
    broken: list[str] = []
    own = python_type.replace(":", ".")
    for provider in sorted(providers(), key=lambda each: each.key != own):
        try:
            if (serializer := provider.load()).name == name:
                return serializer
        except PluginError as error:  # whose formats these are is not known
            broken.append(f"; {error}")
    message = (
        f"no serializer for the format {name!r} of a {python_type} is installed; "
        f"install the package that stored it, or a newer flowyml{''.join(broken)}"
    )
    raise SerializationError(message)


def format_names() -> frozenset[str]:
    """Return the names of all built-in formats, whatever they are for; nothing is imported."""
    return frozenset().union(ANY, ALIASES, *(_all(offer) for offer in OFFERS.values()))


def provided_formats() -> Provided:
    """Return the formats that other distributions bring, each of which is imported."""
    formats: set[str] = set()
    broken: list[PluginError] = []
    for provider in providers():
        try:
            formats.add(provider.load().name)
        except PluginError as error:
            broken.append(error)
    return Provided(frozenset(formats), tuple(broken))


def class_names() -> frozenset[str]:
    """Return the names of the classes that have a format of their own."""
    return frozenset(place.partition(":")[2] for place in OFFERS)


@lru_cache(maxsize=1024)
def _automatic(cls: type) -> tuple[str | Provider, ...]:
    """Follow the MRO; a class that nobody knows may still have a form in JSON."""
    last = tuple(LAST.values())
    for base in cls.__mro__[:-1]:
        if offer := OFFERS.get(_place(base)):
            return (*offer.automatic.values(), *(last if offer.last else ()))
        if base.__module__ != "builtins" and (provider := provider_for(base)):
            return (provider,)
    return (*JSON.values(), *last) if holds_class(cls) else last


def _offers_for_reading(python_type: str) -> Iterator[Offer]:
    """Yield the offers for this very class, for its library, for anything, and all others."""
    module, _, qualname = python_type.partition(":")
    root = module.partition(".")[0]
    if own := OFFERS.get(f"{root}:{qualname}"):
        yield own
    yield from (offer for place, offer in OFFERS.items() if place.startswith(f"{root}:"))
    yield Offer(ANY)
    yield from OFFERS.values()


def _all(offer: Offer) -> Places:
    return {**offer.requested, **offer.automatic}


def _offers(cls: type) -> Iterator[Offer]:
    return (OFFERS[place] for base in cls.__mro__ if (place := _place(base)) in OFFERS)


def _place(cls: type) -> str:
    return f"{cls.__module__.partition('.')[0]}:{cls.__qualname__}"


@cache
def _builtin(place: str) -> Serializer:
    module, _, name = place.partition(":")
    made: Serializer = getattr(import_module(f"flowyml.serialization.{module}"), name)()
    return made


def _third_party(cls: type, broken: list[PluginError]) -> Iterator[Serializer]:
    """Yield what others bring for a class, the most specific last; add to what is broken."""
    for base in reversed(cls.__mro__[:-1]):
        try:
            if provider := provider_for(base):
                yield provider.load()
        except PluginError as error:
            broken.append(error)
