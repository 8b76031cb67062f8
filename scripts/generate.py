"""Write down what the code knows, where it is read: golden frames, tables in the docs. `make generated`; a test says when it is due."""

from pathlib import Path

from scripts import pages, program, sdk_constants, vectors

ROOT = Path(__file__).parents[1]


def generated() -> dict[str, str]:
    """Every generated file, by its path from the root: its text."""
    asked = program.ask()
    return {**vectors.files(asked), **pages.files(asked, ROOT), **sdk_constants.files(asked)}


def main() -> None:
    """Write what is new, and remove golden frames of what there is no more."""
    made = generated()
    for path, text in made.items():
        (ROOT / path).write_text(text)
    for stale in set((ROOT / vectors.WHERE / "frames").glob("*.json")) - {ROOT / path for path in made}:
        stale.unlink()


if __name__ == "__main__":
    main()
