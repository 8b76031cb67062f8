"""A small Java virtual machine: many of them share this one."""

from deploy.local.packages import java

_SMALL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


def jvm(*what: str, heap_mb: int = 256, options: tuple[str, ...] = ()) -> list[str]:
    """The command line; `what` is `-jar FILE` or `-cp CLASSES MAIN`, and its arguments."""
    return [java(), f"-Xmx{heap_mb}m", *_SMALL, *options, *what]
