"""Beginning: is the server there, may one in, and what to say when not."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from caas_sdk.errors import CaasError
from caas_sdk.sessions import create_session

DEV_KEY = "caas_sk_dev"
"""The secret key of `caas dev`, which takes it from its own machine alone."""


def start(user: str, *, url: str = "http://127.0.0.1:3000", peer: str | None = None, conversation: str | None = None,
          secret_key: str = DEV_KEY) -> int:
    """Chat until one leaves; the process's exit code."""
    try:
        from caas_sdk.chat.app import Chat
    except ImportError:
        return _say("The terminal client needs Textual: pip install 'caas-sdk[chat]'")
    try:
        create_session(url, secret_key, user)
    except CaasError as error:
        return _say(f"The server at {url} refuses: {error}")
    except OSError as error:
        return _say(f"Nobody answers at {url} ({error}). Is it running? `caas dev` starts one.")
    logging.getLogger("caas_sdk").addHandler(logging.NullHandler())
    logging.getLogger("caas_sdk").propagate = False  # the screen shows it
    app = Chat(url, user, tokens(url, secret_key, user), peer=peer, conversation=conversation)
    app.run()
    return _say(app.farewell) if app.farewell else 0


def tokens(url: str, secret_key: str, user: str) -> Callable[[], Awaitable[str]]:
    """What gives fresh tokens, without holding up the screen."""
    async def fresh() -> str:
        return await asyncio.to_thread(create_session, url, secret_key, user)

    return fresh


def _say(text: str) -> int:
    print(text, file=sys.stderr)
    return 1
