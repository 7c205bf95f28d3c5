from importlib.metadata import distribution

import flowyml_azure


def test_the_module_and_the_distribution_have_one_version() -> None:
    """What the module says is what was installed."""
    assert distribution("flowyml-azure").version == flowyml_azure.__version__


def test_every_entry_point_loads() -> None:
    """Whatever type the package registers, there is a class behind it."""
    registered = distribution("flowyml-azure").entry_points
    assert all(isinstance(entry_point.load(), type) for entry_point in registered)
