"""Fetch Swagger UI from npm, at the version below, into `transport/openapi/ui/`: what `/docs` shows works without the internet.

Run it after raising the version: `make docs-page`. The files are kept compressed, as browsers take them.
"""

import gzip
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "5.35.0"
UI = Path(__file__).parents[1] / "transport" / "openapi" / "ui"
PACKED, PLAIN = ("swagger-ui-bundle.js", "swagger-ui.css"), ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt")

_MAP = re.compile(rb"\s*(//|/\*)# sourceMappingURL=\S+?(\s*\*/)?\s*\Z")


def main() -> None:
    """Fetch, check that all is there, write."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["npm", "pack", "--silent", f"swagger-ui-dist@{VERSION}"], cwd=folder, capture_output=True, text=True, check=True)
        with tarfile.open(Path(folder) / packed.stdout.strip()) as archive:
            files = {name: read(archive, name) for name in (*PACKED, *PLAIN)}
    for name in PACKED:
        (UI / f"{name}.gz").write_bytes(gzip.compress(_MAP.sub(b"", files[name]), 9, mtime=0))
    for name in PLAIN:
        (UI / name).write_bytes(files[name])


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """One file of the package."""
    found = archive.extractfile(f"package/{name}")
    assert found is not None, f"{name} is not in the package"
    return found.read()


if __name__ == "__main__":
    main()
