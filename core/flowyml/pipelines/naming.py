"""Names for what a step delivers while it runs: within one try of it, each is given once."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

from flowyml.routing.containers import child_name

__all__ = ["Names"]


@define(eq=False)
class Names:
    """Gives the names, the same ones in every try that delivers the same.

    Attributes:
        step: Name of the step.
    """

    step: str
    _given: Counter[str] = field(factory=Counter, init=False)

    def __bool__(self) -> bool:
        """Whether any was given."""
        return bool(self._given)

    def give(self, wanted: str) -> tuple[str, str]:
        """Return the name that is wanted, or that with a number, and the output it makes."""
        first = child_name(self.step, wanted)
        if first not in self._given and self.has(first):
            self._given[first] = 1  # it is a number of another name, and given already
        while True:
            self._given[first] += 1
            count = self._given[first]
            if count == 1:
                return wanted, first
            name = f"{wanted}-{count}"
            output = child_name(self.step, name)
            if output not in self._given:
                return name, output

    def has(self, output: str) -> bool:
        """Whether an output has a name that was given, or lies below one."""
        own = output.removeprefix(f"{self.step}.")
        if own == output:
            return False
        first = f"{self.step}.{own.partition('.')[0]}"
        stem, _, number = first.rpartition("-")
        is_number = number.isascii() and number.isdigit() and not number.startswith("0")
        return first in self._given or (is_number and 1 < int(number) <= self._given[stem])
