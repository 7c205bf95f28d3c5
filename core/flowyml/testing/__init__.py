"""Suites that a plugin's tests subclass: what every component of a role has to do.

They need ``flowyml[testing]``. A subclass gives the fixtures that make the component and look at
its backend with the backend's own means; what the component says about itself proves nothing.
"""
