"""What one distribution brings is read whatever is the matter with another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.plugins.fake_distributions import Site

LAB = """
class Report: ...

class Special(Report): ...

class Reports:
    name, version, runs_code = "report", 1, False
    def writer(self, value): ...
    def read(self, source, *, trusted): ...
"""

READ = """
import json
from flowyml.errors import SerializationError
from flowyml.serialization.catalog import for_reading
try:
    print(json.dumps(for_reading({name!r}, {python_type!r}).name))
except SerializationError as error:
    print(json.dumps(str(error)))
"""


ASK = """
import json, lab
from flowyml.errors import FlowyMLError
from flowyml.serialization.catalog import by_format
try:
    print(json.dumps(by_format(lab.Report, {name!r}).name))
except FlowyMLError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site with a format, and broken distributions before and after it."""
    site = Site(tmp_path)
    for name in ("above", "zone"):
        points = f"[flowyml.serializer]\n{name}.Thing = {name}:Things\n"
        site.install(name, points, {name: f"import gone_from_{name}\n"})
    site.install("lab", "[flowyml.serializer]\nlab.Report = lab:Reports\n", {"lab": LAB})
    return site


@pytest.mark.parametrize("python_type", ["lab:Report", "lab:Special"])
def test_a_format_is_read_beside_a_broken_distribution(site: Site, python_type: str) -> None:
    """Nobody asked for that one."""
    assert site.run(READ.format(name="report", python_type=python_type)) == "report"


def test_where_nobody_has_a_format_the_broken_distributions_are_named(site: Site) -> None:
    """Any of them may be the one that has it."""
    told = site.run(READ.format(name="thing", python_type="zone:Thing"))

    assert told.startswith("no serializer for the format 'thing' of a zone:Thing is installed")
    assert "above 1.2 (above:Things) cannot be used: ModuleNotFoundError" in told
    assert "No module named 'gone_from_zone'" in told


@pytest.fixture
def leaving(tmp_path: Path) -> Site:
    """Give a site whose one distribution ends the program when its format is imported."""
    site = Site(tmp_path)
    modules = {"lab": LAB, "lab_formats": "raise SystemExit('needs a licence')\n"}
    site.install("lab", "[flowyml.serializer]\nlab.Report = lab_formats:Reports\n", modules)
    return site


def test_another_format_than_that_of_a_broken_distribution_can_be_asked_for(leaving: Site) -> None:
    """Also for the class whose own format it would be."""
    assert leaving.run(ASK.format(name="pickle")) == "pickle"


def test_a_distribution_that_exits_is_named_where_its_format_is_asked_for(leaving: Site) -> None:
    """With the cause; the program itself goes on."""
    assert leaving.run(ASK.format(name="report")) == (
        "the serializer for lab.Report of lab 1.2 (lab_formats:Reports) cannot be used: "
        "SystemExit: needs a licence"
    )


def test_a_distribution_that_exits_keeps_nobody_from_reading(leaving: Site) -> None:
    """It is no more than broken."""
    told = leaving.run(READ.format(name="thing", python_type="lab:Thing"))

    assert told.startswith("no serializer for the format 'thing' of a lab:Thing is installed")
    assert "SystemExit: needs a licence" in told
