"""What ends a worker, or keeps it from starting: no request's fault, and nothing to try again. The same for every backend."""


class Fatal(Exception):
    """Storage can no longer be trusted, or this program's idea of it is wrong: the worker must end."""


class Unfit(Exception):
    """What is there does not fit this program or its settings. Says what to change."""
