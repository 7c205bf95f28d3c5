"""Takes the READMEs that pages link to, which lie beside the packages, into the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[2]

LINK: Final = re.compile(r"\]\((?:\.\./)+(?P<folder>[\w/-]+)/README\.md(?P<anchor>#[\w-]+)?\)")

OUTSIDE: Final = re.compile(r"\[(?P<text>[^\]]+)\]\((?!https?:|#)[^)]+\)")


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each README."""
    for readme in sorted([*ROOT.glob("flowyml-*/README.md"), *ROOT.glob("examples/**/README.md")]):
        folder = readme.parent.relative_to(ROOT).as_posix()
        # What a README links to lies beside it, and is not on the site.
        content = OUTSIDE.sub(r"\g<text>", readme.read_text(encoding="utf-8"))
        files.append(File.generated(config, _page(folder), content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_others: Any) -> str:
    """Point links to READMEs at their pages."""
    above = "../" * page.file.src_uri.count("/")
    return LINK.sub(
        lambda found: f"]({above}{_page(found['folder'])}{found['anchor'] or ''})", markdown
    )


def _page(folder: str) -> str:
    return f"packages/{folder.replace('/', '-')}.md"
