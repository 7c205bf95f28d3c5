"""Type to hooks: which hooks deliver a value of a class, and which rule speaks for it.

`hooks_of` is the one registry. An artifact type answers with its own ``hooks``; for a class that
is not ours, register a function::

    @hooks_of.register
    def _(value: lab.Report) -> tuple[str, ...]:
        return ("store_artifact", "log_metrics")

A plan knows only the class of what will be returned, so the function is given the class itself
where there is no value yet; it may look at neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce, singledispatch
from itertools import combinations

from flowyml.artifacts import Artifact
from flowyml.errors import PipelineError
from flowyml.stacks.rules import Rule

__all__ = ["hooks_for", "hooks_of", "routed_class", "rule_for", "rule_names"]


@singledispatch
def hooks_of(value: object) -> tuple[str, ...]:
    """Return the names of the hooks that deliver a value of this class."""
    del value
    return ("store_artifact",)


@hooks_of.register
def _(value: Artifact) -> tuple[str, ...]:
    return value.hooks


def routed_class(cls: type) -> type:
    """Return the class whose hooks and rules speak for values of a class."""
    return cls.routed_as or cls if issubclass(cls, Artifact) else cls


def hooks_for(cls: type) -> tuple[str, ...]:
    """Return the names of the hooks that deliver values of a class.

    Raises:
        PipelineError: Two unrelated bases give different answers, and the class gives none.
    """
    try:
        registered = hooks_of.dispatch(cls)
    except RuntimeError as cause:  # functools' own word for two equally specific classes
        message = (
            f"two equally specific functions name hooks for {cls.__qualname__}: {cause}; "
            f"register one for {cls.__qualname__} itself with hooks_of.register"
        )
        raise PipelineError(message) from cause
    _refuse_rival_bases(cls)
    given: object = registered(cls)
    if isinstance(given, str) or not isinstance(given, Iterable):
        shown = f"({given!r},)" if isinstance(given, str) else '("store_artifact",)'
        message = (
            f"the hooks of {cls.__qualname__} are a {type(given).__name__}, and are to be a tuple "
            f"of names: write {shown}"
        )
        raise PipelineError(message)
    return tuple(given)


def rule_for(cls: type, rules: Mapping[str, Rule]) -> Rule:
    """Return the rule for a class, what it leaves unset taken from less specific rules.

    Looked up along the MRO by qualified name, then by bare name; ``default`` is the last.

    Raises:
        PipelineError: Two rules that are equally specific say different things.
    """
    found: list[tuple[type, Rule]] = []
    for base in cls.__mro__[:-1]:
        found += [(base, rules[name]) for name in _names(base) if name in rules]
    _refuse_rival_rules(cls, found)
    general = [rules["default"]] if "default" in rules else []
    return reduce(Rule.over, [rule for _, rule in found] + general + [Rule()])


def rule_names(cls: type) -> frozenset[str]:
    """Return every name under which a rule would speak for a class."""
    return frozenset(name for base in cls.__mro__[:-1] for name in _names(base)) | {"default"}


def _names(cls: type) -> tuple[str, str]:
    return f"{cls.__module__}.{cls.__qualname__}", cls.__name__


def _refuse_rival_bases(cls: type) -> None:
    """Refuse a class that would take the hooks of whichever base happens to be named first."""
    if not issubclass(cls, Artifact):
        return
    owners = [base for base in cls.__mro__ if "hooks" in vars(base)]
    nearest = owners[0]
    for other in owners[1:]:
        if not issubclass(nearest, other) and vars(other)["hooks"] != vars(nearest)["hooks"]:
            message = (
                f"{cls.__qualname__} inherits different hooks from {nearest.__qualname__} and "
                f"{other.__qualname__}; give {cls.__qualname__} `hooks = (...)` of its own"
            )
            raise PipelineError(message)


def _refuse_rival_rules(cls: type, found: list[tuple[type, Rule]]) -> None:
    """Refuse to choose between rules for two bases of which neither is the more specific.

    What a more specific rule says is no matter of choice any more.
    """
    for (first, (owner, rule)), (_, (other, rival)) in combinations(enumerate(found), 2):
        said = reduce(Rule.over, [rule for _, rule in found[:first]], Rule())
        if not issubclass(owner, other) and _differ(said, rule, rival):
            message = (
                f"the rules for {owner.__name__} and {other.__name__} both speak for "
                f"{cls.__qualname__} and differ; write a rule for {cls.__name__} itself"
            )
            raise PipelineError(message)


def _differ(said: Rule, rule: Rule, rival: Rule) -> bool:
    return said.over(rule.over(rival)) != said.over(rival.over(rule))
