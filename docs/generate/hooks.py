"""MkDocs calls these while it builds the site, see `hooks:` in mkdocs.yml."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from docs.generate import pages  # noqa: E402  # MkDocs does not know the folder before

DRAWING = re.compile(r"!\[([^\]]*)\]\((?:\.\./)*(drawings/\w+\.svg)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    for name, text in pages.made().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put programs in their places, and drawings as parts of the page: so they take its colours."""
    text = pages.page(markdown, page.file.src_uri)

    def inline(match: re.Match[str]) -> str:
        drawing = (ROOT / "docs" / match[2]).read_text(encoding="utf-8").strip()
        return f'<div class="drawing" role="img" aria-label="{match[1]}">{drawing}</div>'

    return DRAWING.sub(inline, text)
