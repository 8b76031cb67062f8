"""`python -m deploy.local start|status|stop|logs|kill|pause|resume|cut|heal|restart`: a cluster on this machine (`make cluster`).

    start [--nodes N] [--port P] [--small]
                                   start what does not run; returns when all is well, having printed `ready http://...`
    status                         a line for each process: name, pid, port, state
    stop                           in reverse order; what was written stays
    logs [NAME ...]                the end of each log, then what is added, until Ctrl-C
    kill|pause|resume|cut|heal|restart NAME
                                   one process, to see what the others do; cut: off the network, which needs root
"""

import argparse
import subprocess
import sys
from pathlib import Path

import trio

from deploy.local.cluster import Cluster, Shape, Taken, made, read_kept, resized, state_of
from deploy.local.engine import Unwell
from deploy.local.packages import Missing

FOLDER = Path("data/cluster")


def start(given: argparse.Namespace) -> int:
    """Bring it up; on failure what was started is stopped again."""
    cluster = _cluster(given, make=True)
    assert cluster is not None
    before = any(member.alive for member in cluster.members())
    try:
        trio.run(cluster.start, _say)
    except (Unwell, Missing, Taken, KeyboardInterrupt) as failed:
        print(f"\nnot started: {failed or 'stopped by hand'}", file=sys.stderr)
        if not before:
            trio.run(cluster.stop)
        return 1
    print(f"ready {cluster.url}" if hasattr(cluster, "balancer") else "the engines are ready; no nodes were asked for", flush=True)
    return 0


def status(given: argparse.Namespace) -> int:
    """1 when something is not as it should be."""
    cluster = _cluster(given)
    if cluster is None:
        print("no cluster was made here: make cluster")
        return 1
    states = [(member, state_of(member)) for member in cluster.members()]
    for member, state in states:
        print(f"{member.name} {member.pid} {member.port} {state}")
    return 0 if all(state == "ready" for _, state in states) else 1


def stop(given: argparse.Namespace) -> int:
    """Nothing to stop is no failure."""
    if cluster := _cluster(given):
        trio.run(cluster.stop, _say)
    return 0


def logs(given: argparse.Namespace) -> int:
    """Until Ctrl-C."""
    if (cluster := _cluster(given)) is None:
        return 1
    files = [str(member.log) for member in cluster.members() if member.log.exists() and (not given.names or member.name in given.names)]
    try:
        return subprocess.call(["tail", "-n", "20", *(["-f"] if given.follow else []), *files])
    except KeyboardInterrupt:
        return 0


def one(given: argparse.Namespace) -> int:
    """To one member."""
    cluster = _cluster(given)
    names = [member.name for member in cluster.members()] if cluster else []
    if cluster is None or given.name not in names:
        print(f"there is no {given.name} here; there are: {', '.join(names) or 'none'}", file=sys.stderr)
        return 2
    if given.what == "restart":
        engine = next(engine for engine in cluster.engines if given.name in engine.members)
        trio.run(engine.restart, given.name)
    else:
        getattr(cluster.member(given.name), given.what)()
    cluster.keep()
    return 0


def _cluster(given: argparse.Namespace, make: bool = False) -> Cluster | None:
    kept = read_kept(given.folder)
    if make:
        kept = resized(kept or made(Shape(given.nodes, *([1, 1] if given.small else []))), given.nodes, given.port)
    return None if kept is None else Cluster(given.folder, kept, detached=True, settings={"dev": "1"})


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="deploy.local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="everything the cluster writes (default: %(default)s)")
    doing = parser.add_subparsers(required=True, metavar="WHAT")
    starting = doing.add_parser("start")
    starting.add_argument("--nodes", type=int, default=3, help="0: the engines alone")
    starting.add_argument("--port", type=int, default=3000, help="of the balancer")
    starting.add_argument("--small", action="store_true", help="one broker and one mongod: for development, it survives nothing")
    starting.set_defaults(run=start)
    doing.add_parser("status").set_defaults(run=status)
    doing.add_parser("stop").set_defaults(run=stop)
    showing = doing.add_parser("logs")
    showing.add_argument("names", nargs="*")
    showing.add_argument("--no-follow", dest="follow", action="store_false")
    showing.set_defaults(run=logs)
    for what in ("kill", "pause", "resume", "cut", "heal", "restart"):
        touching = doing.add_parser(what)
        touching.add_argument("name")
        touching.set_defaults(run=one, what=what)
    given = parser.parse_args()
    try:
        code: int = given.run(given)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
