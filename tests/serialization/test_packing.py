"""An artifact is packed with all that it carries, and comes back as what it was."""

from __future__ import annotations

import datetime as dt
import math
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowyml.artifacts import Artifact, Dataset, Metrics, Model, Parameters
from flowyml.errors import SerializationError
from flowyml.records import Producer
from flowyml.serialization import (
    PickleWarning,
    pack,
    serializer_name,
    unpack,
    unpack_data,
)


@attrs.frozen(eq=False)
class FraudModel(Model):
    """A user's own type with fields of its own."""

    threshold: float = attrs.field(default=0.5, kw_only=True)
    labels: tuple[str, ...] = attrs.field(default=("no", "yes"), kw_only=True)
    loaded: int = attrs.field(init=False, default=0)


class Score(Metrics):
    """A user's own type without any."""


class Shelf:
    """Holds a type of its own."""

    class Inner(Model):
        """Is found below another class."""


class Demanding(Model):
    """Wants what no field keeps."""

    def __init__(self, data: object, *, extra: int = 1, **fields: Any) -> None:
        super().__init__([data, extra], **fields)


def _facts(artifact: Artifact) -> dict[str, Any]:
    return {a.name: getattr(artifact, a.name) for a in attrs.fields(type(artifact))}


FACTS = st.dictionaries(
    st.text(),
    st.none() | st.integers() | st.text() | st.tuples(st.floats(), st.dates()) | st.binary(),
    max_size=3,
)

ARTIFACTS = st.one_of(
    st.builds(
        Metrics,
        st.dictionaries(st.text(), st.floats() | st.integers(), max_size=3),
        name=st.none() | st.text(),
        version=st.none() | st.text(),
        metadata=FACTS,
        step=st.none() | st.integers(),
    ),
    st.builds(Parameters, FACTS, name=st.none() | st.text(), metadata=FACTS),
    st.builds(Score, st.dictionaries(st.text(), st.integers(), max_size=2)),
    st.builds(
        FraudModel,
        st.just({"weights": [1, 2]}),
        name=st.none() | st.text(),
        framework=st.none() | st.text(),
        serving_config=FACTS,
        input_schema=st.none() | FACTS,
        threshold=st.none() | st.floats(),
        labels=st.lists(st.text(), max_size=2).map(tuple),
    ),
    st.builds(Dataset, st.text(), format=st.just("text"), statistics=FACTS, schema=FACTS),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(artifact=ARTIFACTS)
def test_an_artifact_comes_back_as_what_it_was(artifact: Artifact, store: Any) -> None:
    """In its class, with every field, whether it was set, left out or emptied."""
    again = store.again(artifact)
    assert type(again) is type(artifact)
    assert store.same(_facts(again), _facts(artifact))


def test_metrics_are_plain_json_with_their_step(store: Any) -> None:
    """The file holds the numbers alone; the rest is in the manifest."""
    metrics = Metrics({"loss": 0.25}).at_step(3).with_metadata(data="v1")
    source = store.save(metrics)
    assert (source.folder / "data.json").read_text() == '{"loss": 0.25}'
    manifest = source.manifest
    assert manifest.python_type == "builtins:dict"
    assert manifest.artifact_class == "flowyml.artifacts:Metrics"
    assert manifest.properties["step"] == 3
    assert manifest.metadata == {"data": "v1"}
    assert store.again(metrics) == metrics


def test_the_manifest_says_where_it_came_from() -> None:
    """Producer, key, type and the output's name are taken over."""
    producer = Producer("p", "run", "step", "out")
    manifest = pack({"a": 1}, type_name="dict", name="out", producer=producer, key="k").manifest
    assert (manifest.type, manifest.name, manifest.key) == ("dict", "out", "k")
    assert manifest.producer is producer
    assert manifest.files == ()
    assert manifest.artifact_class is None
    assert manifest.created_at.tzinfo is dt.UTC
    named = pack(Model({}, name="m"), type_name="Model", name="out", producer=None, key=None)
    assert named.manifest.name == "m"
    unnamed = pack(Model({}), type_name="Model", name="out", producer=None, key=None)
    assert unnamed.manifest.name == "out"


def test_facts_that_json_cannot_say_survive(store: Any) -> None:
    """NumPy scalars, dates, tuples and NaN in metadata and in properties."""
    np = pytest.importorskip("numpy")
    facts = {"auc": np.float32(0.5), "when": dt.date(2026, 1, 1), "t": (1, math.nan), "n": {1: 2}}
    again = store.again(Model({"w": 1}, metadata=facts, input_schema=facts))
    assert store.same(again.metadata, facts)
    assert store.same(again.input_schema, facts)


@pytest.mark.parametrize(
    ("artifact", "reason"),
    [
        (
            Model({}, metadata={"a": {"b": [1, object()]}}),
            r"Model: the metadata \['a'\]\['b'\]\[1\]",
        ),
        (Model({}, input_schema=print), r"Model: the property \['input_schema'\]"),
    ],
)
def test_a_fact_that_cannot_be_kept_is_an_error_that_names_the_key(
    artifact: Artifact, reason: str, store: Any
) -> None:
    """Nothing is dropped, and nothing in a manifest is ever a pickle."""
    with pytest.raises(SerializationError, match=reason):
        store.pack(artifact)


def test_a_class_that_is_gone_is_never_replaced(store: Any, monkeypatch: Any) -> None:
    """The error names it; the data can still be had without it."""
    source = store.save(FraudModel({"w": 1}, name="m"))
    monkeypatch.delattr(sys.modules[__name__], "FraudModel")
    with pytest.raises(SerializationError, match="no class 'FraudModel' any more"):
        unpack(source, trusted=True)
    assert unpack_data(source, trusted=True) == {"w": 1}


def test_a_field_that_is_gone_is_an_error(store: Any) -> None:
    """Rather than a value that is silently dropped."""
    source = store.save(FraudModel({"w": 1}, threshold=0.9))
    place = "flowyml.artifacts:Model"
    source = attrs.evolve(source, manifest=attrs.evolve(source.manifest, artifact_class=place))
    with pytest.raises(
        SerializationError, match=r"Model has no field '(labels|threshold)' any more"
    ):
        unpack(source, trusted=True)


def test_a_format_can_be_asked_for(store: Any) -> None:
    """By the rule, or by the data set itself; the rule wins."""
    assert store.pack(Dataset([1, 2], format="jsonl")).manifest.serializer == "jsonl"
    assert store.pack(Dataset([1, 2], format="jsonl"), "json").manifest.serializer == "json"
    assert store.pack({"a": 1}, "pickle").manifest.serializer == "pickle"
    with pytest.raises(SerializationError, match=r"no format 'jsn' .* did you mean 'json'\?"):
        store.pack({"a": 1}, "jsn")
    with pytest.raises(SerializationError, match=r"object has no exact form in JSON"):
        store.pack({"a": object()}, "json")


def test_cloudpickle_takes_code_along_and_warns_once(store: Any) -> None:
    """A function made on the fly comes back as one that runs."""

    def add(value: int) -> int:
        return value + 1

    with pytest.warns(PickleWarning, match=r"builtins\.function") as caught:
        assert store.again(add, trusted=True)(1) == 2
    assert len(caught) == 1


def test_what_nothing_holds_is_an_error_that_names_the_type(store: Any) -> None:
    """A lock has no copy, and an open file is no value."""
    with (
        pytest.warns(PickleWarning),
        pytest.raises(SerializationError, match=r"_thread\.lock cannot be stored"),
    ):
        store.save(threading.Lock())
    with (
        Path(__file__).open() as file,
        pytest.raises(SerializationError, match="TextIOWrapper cannot be stored"),
    ):
        store.pack(file)


def test_a_view_is_not_silently_made_bytes(store: Any) -> None:
    """A step that takes it from the store would be given something else than one that runs here."""
    with pytest.raises(SerializationError, match=r"memoryview cannot be stored: .* as bytes;"):
        store.pack(memoryview(b"abc"))


def test_a_class_alone_tells_its_format() -> None:
    """For the plan, which has no value yet."""
    assert serializer_name(dict) == "json"
    assert serializer_name(str) == "text"
    assert serializer_name(type("Own", (), {})) == "cloudpickle"
    assert serializer_name(type(None)) == "json"
    assert serializer_name(list, "jsonl") == "jsonl"
    assert serializer_name(Metrics) == "json"
    assert serializer_name(Model) == "decided by the value"
    with pytest.raises(SerializationError, match="no format 'parquet'"):
        serializer_name(dict, "parquet")


def test_a_record_that_nobody_could_import_is_planned_as_what_it_becomes(store: Any) -> None:
    """As a dataclass of a notebook's cell is, or one that was made inside of a function."""

    @attrs.frozen
    class Settings:
        depth: int = 3

    planned = serializer_name(Settings)

    with pytest.warns(PickleWarning):
        assert store.pack(Settings()).manifest.serializer == planned == "cloudpickle"


@pytest.mark.parametrize(
    ("place", "format_"),
    [
        ("pandas:DataFrame", "parquet"),
        ("polars:DataFrame", "parquet"),
        ("pyarrow:Table", "parquet"),
        ("numpy:ndarray", "npy"),
        ("numpy:float64", "json"),
        ("sklearn.svm:SVC", "pickle"),
        ("torch.nn:Linear", "torch"),
        ("xgboost:XGBClassifier", "xgboost"),
        ("pathlib:Path", "path"),
    ],
)
def test_a_class_of_a_library_tells_its_format(place: str, format_: str) -> None:
    """Along its MRO, wherever in the library it lives."""
    module, _, name = place.partition(":")
    assert serializer_name(getattr(pytest.importorskip(module), name)) == format_


def _python(code: str, *paths: Path, **environment: str) -> str:
    """Run code in a process of its own and return what it prints."""
    path = os.pathsep.join([*map(str, paths), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_room_imports_no_library() -> None:
    """Nothing besides the standard library and attrs, also for a dict that is packed.

    Nor does it take one to know which formats there are.
    """
    code = """
        import sys
        from flowyml.serialization import pack
        from flowyml.serialization.catalog import format_names
        assert {"parquet", "feather", "pickle", "npz", "safetensors"} <= format_names()
        pack({"a": 1.5}, type_name="dict", name="a", producer=None, key=None)
        roots = {name.partition(".")[0] for name in sys.modules}
        roots -= {*sys.stdlib_module_names, "__main__", "attr", "attrs", "flowyml"}
        print(*(name for name in roots if not name.startswith("_")))
    """
    assert _python(code) == ""


def _distribution(root: Path, name: str, module: str, code: str, entry: str) -> None:
    info = root / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flowyml.serializer]\n{entry}\n")
    (root / f"{module}.py").write_text(textwrap.dedent(code))


LAB = """
    class Report:
        def __init__(self, text):
            self.text = text

    class Special(Report):
        pass

    class Reports:
        name = "report"
        version = 1
        runs_code = False

        def writer(self, value):
            def write(sink):
                with sink.open("report.txt") as file:
                    file.write(value.text.encode())
            return write

        def read(self, source, *, trusted):
            with source.open("report.txt") as file:
                return Report(file.read().decode())
"""

USE_LAB = """
    import io, lab
    from contextlib import contextmanager
    from types import SimpleNamespace
    from flowyml.serialization import pack, unpack, serializer_name
    files = {}
    class Sink:
        @contextmanager
        def open(self, name):
            yield (file := io.BytesIO())
            files[name] = file.getvalue()
        def put(self, name, content):
            files[name] = content
    packed = pack(lab.Special("hi"), type_name="r", name="r", producer=None, key=None)
    packed.write(Sink())
    source = SimpleNamespace(manifest=packed.manifest, open=lambda name: io.BytesIO(files[name]))
    again = unpack(source, trusted=False)
    print(packed.manifest.serializer, again.text, serializer_name(lab.Report))
"""


def test_a_third_party_adds_a_type(tmp_path: Path) -> None:
    """By an entry point of its own, also for classes derived from its own."""
    _distribution(tmp_path / "a", "lab_a", "lab", LAB, "lab.Report = lab:Reports")
    assert _python(USE_LAB, tmp_path / "a") == "report hi report"


def test_two_providers_for_one_class_are_an_error_that_names_both(tmp_path: Path) -> None:
    """No silent choice."""
    _distribution(tmp_path / "a", "lab_a", "lab", LAB, "lab.Report = lab:Reports")
    _distribution(tmp_path / "b", "lab_b", "other", "", "lab.Report = other:Reports")
    code = """
        import lab
        from flowyml.errors import PluginError
        from flowyml.serialization import serializer_name
        try:
            serializer_name(lab.Report)
        except PluginError as error:
            print(error)
    """
    found = _python(code, tmp_path / "a", tmp_path / "b")
    assert "lab_a 1.0 (lab:Reports) and lab_b 1.0 (other:Reports)" in found


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("lab.Report = missing:Reports", "ModuleNotFoundError"),
        ("lab.Report = lab:Report", "missing 1 required positional argument"),
        ("lab.Report = builtins:dict", "has no name, read, runs_code, version, writer"),
    ],
)
def test_a_broken_provider_is_named(entry: str, reason: str, tmp_path: Path) -> None:
    """It was asked for, so it is an error with the cause."""
    _distribution(tmp_path / "a", "lab_a", "lab", LAB, entry)
    code = """
        import lab
        from flowyml.errors import PluginError
        from flowyml.serialization import serializer_name
        try:
            serializer_name(lab.Report)
        except PluginError as error:
            print(error)
    """
    found = _python(code, tmp_path / "a")
    assert "lab_a 1.0" in found
    assert reason in found


def test_a_class_of_a_script_is_found_when_the_script_is_imported(tmp_path: Path) -> None:
    """What ``python train.py`` stores, a process that imports ``train`` reads."""
    (tmp_path / "train.py").write_text(
        textwrap.dedent("""
            import json, attrs
            from flowyml.serialization import encode
            @attrs.define
            class Config:
                rate: float
            if __name__ == "__main__":
                print(json.dumps(encode(Config(0.5))))
        """)
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "train.py")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    stored = done.stdout.strip()
    assert '"train:Config"' in stored
    code = f"""
        import json, train
        from flowyml.serialization import decode
        print(decode(json.loads({stored!r})) == train.Config(0.5))
    """
    assert _python(code, tmp_path) == "True"


def test_a_class_of_a_script_that_is_no_module_is_not_found_again(tmp_path: Path) -> None:
    """As where it came by a pipe, or its file has another ending."""
    code = textwrap.dedent("""
        from flowyml.serialization.classes import is_importable
        class Config: ...
        print(is_importable(Config))
    """)
    script = tmp_path / "train"
    script.write_text(code)
    for source in ([], [str(script)]):
        done = subprocess.run(
            [sys.executable, *source],
            input=code,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "False"


def test_no_warning_for_values_with_a_format(store: Any) -> None:
    """Only what has to be cloudpickle warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (1, "a", b"b", {"a": 1}, (1, 2), None, True, 1.5, dt.date(2026, 1, 1)):
            assert store.keeps(value)


def test_a_type_that_is_not_found_again_is_refused() -> None:
    """What nobody could load is not stored: the step says so, not the one who deploys."""

    class Local(Model):
        """Is gone when its function has ended."""

    with pytest.raises(SerializationError, match=r"class .*Local is not found .* top level of a"):
        pack(Local(1), type_name="Model", name="m", producer=None, key=None)
    pack(Shelf.Inner(1), type_name="Model", name="m", producer=None, key=None)


def test_a_type_that_is_not_made_from_its_fields_is_refused() -> None:
    """An `__init__` of its own would be called without what it wants."""
    with pytest.raises(
        SerializationError, match=r"Demanding could not be made again .*without an `__init__`"
    ):
        pack(Demanding(1, extra=2), type_name="Model", name="m", producer=None, key=None)
