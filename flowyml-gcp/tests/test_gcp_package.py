from importlib.metadata import distribution

import flowyml_gcp


def test_the_module_and_the_distribution_have_one_version() -> None:
    """What the module says is what was installed."""
    assert distribution("flowyml-gcp").version == flowyml_gcp.__version__


def test_every_entry_point_loads() -> None:
    """Whatever type the package registers, there is a class behind it."""
    registered = distribution("flowyml-gcp").entry_points
    assert all(isinstance(entry_point.load(), type) for entry_point in registered)
