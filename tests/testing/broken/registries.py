"""Registries with one mistake each, and the test of the suite that finds it."""

# mypy: ignore-errors

from __future__ import annotations

import re
import threading
import time
import uuid

import attrs
import pytest
from tests.testing.broken.table import suites

from flowyml.errors import DeliveryError, NotFoundError
from flowyml.testing import ComponentContract, RegistryContract
from flowyml_local.registry import LocalModelRegistry as Sound


class Forgetful(Sound):
    def register_model(self, registration, context):
        return super().register_model(attrs.evolve(registration, metadata={}), context)


class Repeating(Sound):
    def register_model(self, registration, context):
        context = attrs.evolve(context, key=uuid.uuid4().hex)
        return super().register_model(registration, context)


class Uncounted(Sound):
    def register_model(self, registration, context):
        version = registration.version or "1"
        return super().register_model(attrs.evolve(registration, version=version), context)


class Counting(Sound):
    def register_model(self, registration, context):
        version = registration.version or str(len(self.list_models(registration.name)) + 1)
        return super().register_model(attrs.evolve(registration, version=version), context)


class Quarrelsome(Sound):
    def register_model(self, registration, context):
        found = self.get_model(registration.name, registration.version)
        if registration.version and found and found.key != context.key:
            message = f"{registration.name} {registration.version} is there"
            raise DeliveryError(message)
        return super().register_model(registration, context)


class Careless(Sound):
    def register_model(self, registration, context):
        try:
            return super().register_model(registration, context)
        except DeliveryError:
            made = self.get_model(registration.name, registration.version)
            return attrs.evolve(made, digest=registration.stored.digest)


class Oldest(Sound):
    def get_model(self, name, version):
        if version is None:
            return next(iter(reversed(self.list_models(name))), None)
        return super().get_model(name, version)


class Backwards(Sound):
    def list_models(self, name):
        return list(reversed(super().list_models(name)))


class Pointless(Sound):
    def set_alias(self, name, version, alias):
        return attrs.evolve(self.get_model(name, version), aliases=(alias,))


class Undecided(Sound):
    def set_approval(self, name, version, approval, comment):
        return attrs.evolve(self.get_model(name, version), approval=approval)


class Indifferent(Sound):
    def set_approval(self, name, version, approval, comment):
        try:
            return super().set_approval(name, version, approval, comment)
        except NotFoundError:
            return None


class Taming(Sound):
    def register_model(self, registration, context):
        name = re.sub(r"[^\w]", "_", registration.name) or "_"
        return super().register_model(attrs.evolve(registration, name=name), context)


class Slow(Sound):
    def register_model(self, registration, context):
        version = registration.version or str(len(self.list_models(registration.name)) + 1)
        time.sleep(0.1)
        return super().register_model(attrs.evolve(registration, version=version), context)


class Unpicklable(Sound):
    def register_model(self, registration, context):
        made = super().register_model(registration, context)
        return attrs.evolve(made, metadata={"handle": threading.Lock()})


class Base(RegistryContract):
    @pytest.fixture
    def new_registry(self, tmp_path):
        return lambda: self.make(path=tmp_path / "registry")


SHARED = {name for name in vars(ComponentContract) if name.startswith("test_")}

TRIED_ELSEWHERE = True

BROKEN = {
    "test_a_version_keeps_all_that_the_model_said": Forgetful,
    "test_the_same_delivery_registers_once": Repeating,
    "test_the_registry_counts_where_the_user_does_not": Uncounted,
    "test_a_count_is_no_version_of_a_user_s_own": Counting,
    "test_the_same_model_is_no_conflict": Quarrelsome,
    "test_another_model_under_the_same_version_is_refused": Careless,
    "test_a_model_is_found_by_version_and_as_the_newest": Oldest,
    "test_versions_are_listed_newest_first": Backwards,
    "test_an_alias_moves": Pointless,
    "test_approval_is_kept": Undecided,
    "test_deciding_on_nothing_is_an_error": Indifferent,
    "test_odd_names_are_only_names": Taming,
    "test_what_cannot_be_a_name_is_refused": Taming,
    "test_deliveries_at_once_each_get_a_version": Slow,
    "test_of_two_models_at_once_one_gets_the_version": Careless,
    "test_what_comes_back_goes_to_another_process": Unpicklable,
}

globals().update(suites(Base, BROKEN, Sound))
