"""`python -m tools.papers [--check]`: write the generated papers, or say which are out of date."""

import sys
from pathlib import Path

from tools.papers import drivers_card, installation, wiring

DOCS = Path(__file__).parents[2] / "docs"


def papers(docs: Path) -> dict[Path, str]:
    """Each generated paper, as it ought to be."""
    prose = docs / "installation.md"
    return {
        docs / "wiring.svg": wiring.drawn(),
        docs / "drivers-card.svg": drivers_card.drawn(),
        prose: installation.filled(prose.read_text()),
    }


def out_of_date(docs: Path) -> list[str]:
    return [
        path.name
        for path, text in papers(docs).items()
        if not path.exists() or path.read_text() != text
    ]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: python -m tools.papers [--check]", file=sys.stderr)
        return 2
    stale = out_of_date(DOCS)
    if arguments:
        if stale:
            print(f"out of date: {', '.join(stale)}; run python -m tools.papers", file=sys.stderr)
        return 1 if stale else 0
    for path, text in papers(DOCS).items():
        path.write_text(text)
        print(f"docs/{path.name}: {'written' if path.name in stale else 'as it was'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
