"""XGBoost, LightGBM and CatBoost models in their libraries' own formats."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.serialization.tagged import Decoder, encode
from flowyml.storage.files import FileSink, FileSource

__all__ = ["CatBoostCbm", "LightgbmText", "XgboostUbj"]

FACTS = "facts.json"
"""What the library's own file forgets."""


@frozen
class XgboostUbj:
    """``model.ubj``: an `xgboost.Booster`, or a model with scikit-learn's interface.

    The configuration, and the parameters that the model was made with, lie beside it.
    """

    name: ClassVar[str] = "xgboost"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "model.ubj"

    def writer(self, value: Any) -> Write:
        """Refuse a model that is not fitted: the file could not say so."""
        import xgboost

        _refuse_derived(value, "xgboost")
        if type(value) is xgboost.Booster:
            return lambda sink: self._write(sink, value, {"config": value.save_config()})
        if not value.__sklearn_is_fitted__():
            message = f"the {type(value).__qualname__} is not fitted yet"
            raise SerializationError(message)
        parameters = value.get_params(deep=False)
        encode(parameters)
        facts = {"parameters": parameters, "config": value.get_booster().save_config()}
        return lambda sink: self._write(sink, value, facts)

    def _write(self, sink: FileSink, model: Any, facts: dict[str, Any]) -> None:
        _write_facts(sink, facts)
        with sink.reserve(self.FILE) as path:
            model.save_model(path)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Make the model with its parameters, then load the trees and the configuration."""
        del trusted
        import xgboost

        facts = _read_facts(source)
        path = source.path(self.FILE)
        if "parameters" not in facts:
            booster: Any = xgboost.Booster(model_file=path)
            booster.load_config(facts["config"])
            return booster
        model = _class(xgboost, source, xgboost.XGBModel)(**facts["parameters"])
        model.load_model(path)
        for name in facts["parameters"].keys() & vars(model).keys():
            setattr(model, name, facts["parameters"][name])  # load_model replaced some
        model.get_booster().load_config(facts["config"])
        return model


@frozen
class LightgbmText:
    """``model.txt``: a `lightgbm.Booster` with all of its iterations."""

    name: ClassVar[str] = "lightgbm"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "model.txt"

    def writer(self, value: Any) -> Write:
        """Keep what the text forgets: parameters, and which iteration was the best."""
        _refuse_derived(value, "lightgbm")
        facts = {
            "params": value.params,
            "best_iteration": value.best_iteration,
            "best_score": {name: dict(scores) for name, scores in value.best_score.items()},
        }
        encode(facts)
        return lambda sink: self._write(sink, value, facts)

    def _write(self, sink: FileSink, booster: Any, facts: dict[str, Any]) -> None:
        _write_facts(sink, facts)
        with sink.reserve(self.FILE) as path:
            booster.save_model(path, num_iteration=-1)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Load the trees, then what the text forgot."""
        del trusted
        import lightgbm

        facts = _read_facts(source)
        booster: Any = lightgbm.Booster(model_file=source.path(self.FILE))
        booster.params = facts["params"]
        booster.best_iteration = facts["best_iteration"]
        booster.best_score.update(facts["best_score"])
        return booster


@frozen
class CatBoostCbm:
    """``model.cbm``: a CatBoost model, which keeps its parameters itself."""

    name: ClassVar[str] = "catboost"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    FILE: ClassVar[str] = "model.cbm"

    def writer(self, value: Any) -> Write:
        """Refuse one that is not fitted: there is nothing to save yet."""
        _refuse_derived(value, "catboost")
        if not value.is_fitted():
            message = f"the {type(value).__qualname__} is not fitted yet"
            raise SerializationError(message)
        return lambda sink: self._write(sink, value)

    def _write(self, sink: FileSink, model: Any) -> None:
        with sink.reserve(self.FILE) as path:
            model.save_model(str(path))

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Make a model of its class and load it."""
        del trusted
        import catboost

        model = _class(catboost, source, catboost.CatBoost)()
        return model.load_model(str(source.path(self.FILE)))


def _refuse_derived(value: object, library: str) -> None:
    if type(value).__module__.partition(".")[0] != library:
        message = f"{type(value).__qualname__} is a class of its own, which {library} does not keep"
        raise SerializationError(message)


def _class(library: Any, source: FileSource, base: type) -> Any:
    """Look up the model's class among the library's own and nowhere else."""
    name = source.manifest.python_type.rpartition(":")[2]
    cls = getattr(library, name, None)
    if not (isinstance(cls, type) and issubclass(cls, base)):
        message = f"{library.__name__} has no model class {name!r}"
        raise SerializationError(message)
    return cls


def _write_facts(sink: FileSink, facts: dict[str, Any]) -> None:
    sink.put(FACTS, json.dumps(encode(facts)).encode())


def _read_facts(source: FileSource) -> dict[str, Any]:
    with source.open(FACTS) as file:
        facts: dict[str, Any] = Decoder().loads(file.read())
    return facts
