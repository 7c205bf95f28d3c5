"""A pipeline that writes a prompt: `flowyml run flow.py`."""

from flowyml import Pipeline, step
from flowyml_prompts import Prompt


@step(outputs=["greeting"])
def write() -> Prompt:
    """Write the prompt."""
    return Prompt("Say {word} to {name}, and nothing else.", name="greeting")


@step(outputs=["filled"])
def fill(greeting: Prompt) -> str:
    """Fill it in."""
    return greeting.data.filled(word="hello", name="Ada")


pipeline = Pipeline("prompts").add_step(write).add_step(fill)
