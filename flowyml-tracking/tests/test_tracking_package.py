from importlib.metadata import distribution

import flowyml_tracking


def test_the_module_and_the_distribution_have_one_version() -> None:
    """What the module says is what was installed."""
    assert distribution("flowyml-tracking").version == flowyml_tracking.__version__


def test_every_entry_point_loads() -> None:
    """Whatever type the package registers, there is a class behind it."""
    registered = distribution("flowyml-tracking").entry_points
    assert all(isinstance(entry_point.load(), type) for entry_point in registered)
