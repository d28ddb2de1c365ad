"""`python -m docs.generate drawings` or `programs`: write what is committed."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.generate import programs, stages

DRAWINGS = Path(__file__).parents[1] / "drawings"


def main(arguments: list[str]) -> int:
    """Write the drawings, or run the tutorials' programs and keep what they print and draw."""
    if arguments == ["drawings"]:
        DRAWINGS.mkdir(exist_ok=True)
        for name, text in stages.files().items():
            (DRAWINGS / name).write_text(text, encoding="utf-8")
        return 0
    if arguments == ["programs"]:
        programs.run()
        return 0
    print("python -m docs.generate drawings | programs", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
