"""`caas doctor`: whether everything here is fit to serve; each check with what it found, and the line that mends it."""

from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from caas.checks import CHECKS, Check, Found, Ground
from caas.config import BadConfig, Config, read_config
from caas.options import ConfigFile, Data, Json
from caas.terminal import console, print_json, printable

Thorough = Annotated[bool, Parameter(negative=(), help="Let checks take as long as they need.")]

_MARKS = {"good": ("✓", "green"), "doubtful": ("!", "yellow"), "bad": ("✗", "bold red"), "skipped": ("·", "dim")}
_WIDTH = max(len(check.name) for check in CHECKS) + 2


def doctor(*, data: Data = None, config: ConfigFile = None, thorough: Thorough = False, json: Json = False) -> int:
    """Look whether everything here is fit to serve, and say what to mend. Changes nothing. Exit code 1: something is bad."""
    ground = _ground(data, config, thorough)
    found = []
    for check in CHECKS:
        found.append((check, examine(check, ground)))
        if not json:
            _show(*found[-1])
    if json:
        print_json([{"check": check.name, **one._asdict()} for check, one in found])
    else:
        _conclude([one for _, one in found])
    return int(any(one.verdict == "bad" for _, one in found))


def examine(check: Check, ground: Ground) -> Found:
    """Make a check. What it cannot look at is bad: whatever stands in its way stands in the server's way too."""
    try:
        return check.look(ground)
    except Exception as error:  # noqa: BLE001 - here a check's life ends, and the others are still to be made
        return Found("bad", f"it could not be looked at: {_first(error)}", "see that this user may read and write it, then look again")


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _ground(data: Data, file: ConfigFile, thorough: bool) -> Ground:
    """Where the configuration cannot be read, the rest is looked at with the defaults."""
    try:
        return Ground(read_config(file=file, data=data), thorough=thorough)
    except BadConfig as wrong:
        return Ground(Config(data=data) if data else Config(), str(wrong), thorough=thorough)


def _show(check: Check, found: Found) -> None:
    mark, style = _MARKS[found.verdict]
    out = console()
    out.print(Text.assemble((f"{mark} ", style), (f"{check.name:{_WIDTH}}", "bold" if found.verdict in ("bad", "doubtful") else ""),
                            (printable(found.said), "dim" if found.verdict == "skipped" else "")))
    if found.mend:
        out.print(Text(f"  {'':{_WIDTH}}→ {printable(found.mend)}", "cyan"))


def _conclude(found: list[Found]) -> None:
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in ("bad", "doubtful")}
    said = " and ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    console().print(f"\n{said}: see the lines with →." if said else "\nEverything is fit to serve.")
