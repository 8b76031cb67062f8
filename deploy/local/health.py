"""Whether something answers over HTTP. Blocks: for a thread."""

import urllib.error
import urllib.request

_ASK_S = 2.0


def asked(url: str) -> str:
    """Empty when it answers with 200; otherwise what came instead."""
    try:
        with urllib.request.urlopen(url, timeout=_ASK_S):
            return ""
    except urllib.error.HTTPError as refused:
        with refused:
            return str(refused)
    except OSError as error:
        return str(error)
