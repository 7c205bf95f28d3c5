"""What is wrong with a plan, or most likely not meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from flowyml import artifacts
from flowyml.errors import Problem
from flowyml.plugins.libraries import MissingLibrary, install_command, missing_libraries
from flowyml.routing.dispatch import rule_names
from flowyml.routing.expectations import expected_outputs
from flowyml.routing.planned import DeclaredOutput, PlannedOutput, PlanProblem
from flowyml.routing.router import STORE, PlannedDelivery
from flowyml.serialization.catalog import class_names
from flowyml.spelling import meant
from flowyml.stacks.stack import Stack

__all__ = ["Doubts", "misspelt_rules"]

OPEN = ("{name}", "{version}", "{artifact_name}", "{output_name}")
"""Placeholders that are not filled in yet, and whose values may keep two outputs apart."""


@frozen
class Doubts:
    """Looks for the problems of a plan.

    Attributes:
        pipeline: Name of the pipeline.
        stack: The stack it would run on.
        outputs: What is planned.
    """

    pipeline: str
    stack: Stack
    outputs: tuple[PlannedOutput, ...]

    def all(self, declared: Iterable[DeclaredOutput]) -> Iterator[PlanProblem]:
        """Yield every problem, errors first."""
        yield from self._collisions()
        yield from self._unreadable_stores()
        yield from self._missing_libraries()
        yield from self._missing_components()
        yield from self._open_gates()
        yield from self._unused_rules(declared)

    def _collisions(self) -> Iterator[PlanProblem]:
        """Find outputs that are certain to meet at one path, or to lie one inside the other."""
        met: defaultdict[str, dict[str, PlannedOutput]] = defaultdict(dict)
        for output in self.outputs:
            if not any(name in output.uri for name in OPEN):
                met[output.uri.casefold()][output.place] = output
        for uri, meeting in met.items():
            uris = dict.fromkeys(output.uri for output in meeting.values())
            if len(uris) > 1:
                yield _twins(meeting, uris)
            elif len(meeting) > 1 or any("*" in place for place in meeting):
                yield _collision(
                    " and ".join(meeting), f"would all be stored at {next(iter(uris))}"
                )
            for above in _above(uri):
                if above in met:
                    nested = f"would be stored inside of {next(iter(met[above]))}, at {uri}"
                    yield _collision(" and ".join(meeting), nested)

    def _unreadable_stores(self) -> Iterator[PlanProblem]:
        """Find components that cannot read what lies in the store."""
        for output in filter(lambda output: output.uri, self.outputs):
            scheme = output.uri.partition("://")[0]
            for delivery in _calls(output):
                readable = self.stack.components[delivery.component or ""].reads_schemes
                if delivery.hook != STORE and readable is not None and scheme not in readable:
                    schemes = ", ".join(f"{name}://" for name in sorted(readable))
                    message = (
                        f"{output.place}: {delivery.component} ({delivery.component_type}) cannot "
                        f"read {scheme}://, where {output.store} keeps it (it reads {schemes})"
                    )
                    hint = "choose a store of that scheme for this type, or another component"
                    yield PlanProblem("error", Problem(message, hint=hint))

    def _missing_libraries(self) -> Iterator[PlanProblem]:
        """Find components that something is delivered to, and that cannot work here.

        However many there are, one command puts it right.
        """
        asked = {
            delivery.component or "": delivery.component_type
            for output in self.outputs
            for delivery in _calls(output)
        }
        users: defaultdict[MissingLibrary, list[str]] = defaultdict(list)
        for name, type_ in asked.items():
            for missing in missing_libraries(self.stack.components[name]):
                users[missing].append(f"{name} ({type_})")
        if users:
            told = "; ".join(_needed(missing, names) for missing, names in users.items())
            yield PlanProblem("error", Problem(told, hint=install_command(users)))

    def _missing_components(self) -> Iterator[PlanProblem]:
        """Find rules that ask for what the stack does not have."""
        hooks = [hook for role in self.stack.roles.values() for hook in role.hooks]
        switches = {hook.name: hook.switch for hook in hooks if hook.switch}
        for output in self.outputs:
            for delivery in output.deliveries:
                switch = switches.get(delivery.hook)
                asked = switch is not None and getattr(output.rule, switch, None) is True
                if asked and not self.stack.of_role(delivery.role):
                    message = (
                        f"{output.place}: its rule says {switch}: true, but the stack "
                        f"{self.stack.name!r} has no {delivery.role}"
                    )
                    hint = f"give the stack a component of that role, or say {switch}: false"
                    yield PlanProblem("warning", Problem(message, hint=hint))

    def _open_gates(self) -> Iterator[PlanProblem]:
        """Find models that are deployed whatever they are worth, and thresholds nobody looks at."""
        for output in self.outputs:
            for delivery in (each for each in _calls(output) if each.hook == "deploy_model"):
                if delivery.waits_for is None:
                    message = f"{output.place} is deployed without a look at any metric"
                    hint = "give its rule deploy_min_metrics"
                    yield PlanProblem("warning", Problem(message, hint=hint))
                elif output.rule.deploy_min_metrics and output.rule.deploy_condition is None:
                    message = f"{output.place}: nothing looks at the deploy_min_metrics of its rule"
                    hint = "say deploy_condition: auto; without a condition it is manual"
                    yield PlanProblem("warning", Problem(message, hint=hint))

    def _unused_rules(self, declared: Iterable[DeclaredOutput]) -> Iterator[PlanProblem]:
        """Find rules that speak for nothing here.

        Where the annotations do not tell everything, only those whose type is most likely misspelt.
        """
        classes = [
            expected.cls
            for output in declared
            for expected in expected_outputs(output.annotation, output.output)
        ]
        spoken_for = {name for cls in classes if cls for name in rule_names(cls)}
        unused = [name for name in self.stack.rules if name not in {*spoken_for, "default"}]
        misspelt = dict(misspelt_rules(self.stack))
        tells_all = all(cls is not None for cls in classes)
        for name in unused:
            if tells_all or name in misspelt:
                message = f"the rule for {name!r} speaks for no output of {self.pipeline!r}"
                close = misspelt[name].hint if name in misspelt else meant(name, spoken_for)
                place = self.stack.rule_places.get(name)
                yield PlanProblem("warning", Problem(message, place, close))


def misspelt_rules(stack: Stack) -> Iterator[tuple[str, Problem]]:
    """Yield the rules whose type is most likely another one that FlowyML knows, by their name."""
    known = {*artifacts.__all__, *class_names(), "default"}
    for name in stack.rules:
        own = name.rpartition(".")[2]  # of a qualified name, which may be of anybody's module
        if own not in known and (close := meant(own, known, closeness=0.8)):
            message = f"the rule for {name!r} speaks for no type that FlowyML knows"
            yield name, Problem(message, stack.rule_places.get(name), close)


def _needed(missing: MissingLibrary, names: Sequence[str]) -> str:
    need = "needs" if len(names) == 1 else "need"
    return f"{' and '.join(names)} {need} {missing.module}, which is not installed"


def _calls(output: PlannedOutput) -> Sequence[PlannedDelivery]:
    return [delivery for delivery in output.deliveries if delivery.action != "skip"]


def _twins(places: Iterable[str], uris: Iterable[str]) -> PlanProblem:
    """Say that outputs meet where the file system takes capital and small letters for the same."""
    message = (
        f"{' and '.join(places)} would be stored at {' and '.join(uris)}, which differ only in "
        "their case, and so are one place on many file systems"
    )
    hint = "give one of them a name that differs in more than its case"
    return PlanProblem("error", Problem(message, hint=hint))


def _collision(who: str, where: str) -> PlanProblem:
    hint = "put {output_name} into the rule's path"
    return PlanProblem("error", Problem(f"{who} {where}", hint=hint))


def _above(uri: str) -> Iterator[str]:
    """Yield the folders that a URI lies in."""
    while "/" in uri:
        uri = uri.rpartition("/")[0]
        yield uri
