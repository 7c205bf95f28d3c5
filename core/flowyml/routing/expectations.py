"""What an annotation promises: the outputs that a run will route, as far as it tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from attrs import frozen

from flowyml.artifacts import Artifact
from flowyml.routing.annotations import SAYS_NOTHING, UNIONS, field_annotations, promises_artifacts
from flowyml.routing.containers import check_container, child_name
from flowyml.stacks.rules import Route

__all__ = ["Expected", "check_promise", "expected_outputs"]


@frozen
class Expected:
    """An output, or the elements of one.

    Attributes:
        output: Name of the output; ``models.*`` stands for the elements of ``models``.
        cls: The class; None where the value decides.
        route: What the annotation of just this element says.
        container: Whether its elements are outputs of their own.
    """

    output: str
    cls: type | None
    route: Route | None = None
    container: bool = False


def expected_outputs(annotation: object, output: str) -> Iterator[Expected]:
    """Yield what an annotation promises for an output and for its elements.

    A container inside of another is no output of its own: the outermost tells where its elements
    are.

    Args:
        annotation: What the step declares.
        output: Name of the output.
    """
    return _expected(annotation, output, None, frozenset(), nested=False)


def check_promise(annotation: object) -> None:
    """Refuse what promises artifacts in a container that no run could take apart.

    Raises:
        SerializationError: It is a record whose class is not found under its own name.
    """
    for container in _containers(annotation, frozenset()):
        check_container(container)


def _containers(annotation: Any, above: frozenset[type]) -> Iterator[type]:
    """Yield the classes that an annotation promises artifacts in."""
    if _is_artifact(annotation) or not promises_artifacts(annotation):
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    container = origin or annotation
    if container in above:
        return
    if isinstance(container, type):
        yield container
    for part in arguments[:1] if origin is Annotated else arguments:
        yield from _containers(part, above)
    if not arguments:
        for part in field_annotations(annotation).values():
            yield from _containers(part, above | {annotation})


def _expected(
    annotation: object,
    output: str,
    route: Route | None,
    above: frozenset[type],
    *,
    nested: bool,
) -> Iterator[Expected]:
    """Yield what an annotation promises; of a record inside of itself, that its value decides."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        routes = (extra for extra in arguments[1:] if isinstance(extra, Route))
        yield from _expected(arguments[0], output, next(routes, route), above, nested=nested)
    elif origin in UNIONS:
        for part in arguments:
            if part is not type(None):
                yield from _expected(part, output, route, above, nested=nested)
    elif isinstance(annotation, type) and annotation in above:
        yield Expected(_child(output, "*"), None, route)
    elif promises_artifacts(annotation) and not _is_artifact(annotation):
        container: Any = origin or annotation
        if not nested:
            yield Expected(output, _class_of(container), route, container=True)
        within = above if arguments else above | {container}
        for key, part in _elements(container, arguments).items():
            yield from _expected(part, _child(output, key), route, within, nested=True)
    else:
        yield Expected(output, _class_of(origin or annotation), route)


def _is_artifact(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Artifact)


def _elements(origin: Any, arguments: tuple[Any, ...]) -> Mapping[str, object]:
    if not arguments:
        return field_annotations(origin)
    if origin is tuple and Ellipsis not in arguments:
        return {str(position): part for position, part in enumerate(arguments)}
    elements = [part for part in arguments if part is not Ellipsis]
    return {"*": elements[-1]}


def _child(output: str, key: str) -> str:
    return f"{output}.*" if key == "*" else child_name(output, key)


def _class_of(annotation: Any) -> type | None:
    """Return a class that says something; `object`, Any and a missing annotation do not."""
    if annotation in SAYS_NOTHING or not isinstance(annotation, type):
        return None
    return annotation
