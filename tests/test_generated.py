"""What is generated is what the code says now."""

from pathlib import Path

from scripts.generate import generated

ROOT = Path(__file__).parents[1]


def test_generated_files_are_up_to_date() -> None:
    due = [path for path, text in generated().items() if not (ROOT / path).is_file() or (ROOT / path).read_text() != text]
    assert due == [], "run `make generated`"


def test_there_is_no_golden_frame_too_many() -> None:
    kept = {str(path.relative_to(ROOT)) for path in (ROOT / "protocol" / "vectors" / "frames").glob("*.json")}
    assert kept <= generated().keys()
