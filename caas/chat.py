"""`caas chat`: the SDK's terminal client, which the server does without where it is not installed."""

import importlib
from typing import Annotated

from cyclopts import Parameter

from caas.options import Mistake

DEV_KEY = "caas_sk_dev"

Peer = Annotated[str | None, Parameter(name="--with", help="Open the conversation with this user.")]
Place = Annotated[str | None, Parameter(help="Open this conversation.")]
Key = Annotated[str, Parameter(env_var="CAAS_SECRET_KEY", help="The application's secret key, which gives tokens.")]


def chat(user: str, *, url: str = "http://127.0.0.1:3000", peer: Peer = None, conversation: Place = None, secret_key: Key = DEV_KEY) -> int:
    """Chat in the terminal, as a user: beside `caas dev`, or with the secret key of an application."""
    try:
        begin = importlib.import_module("caas_sdk.chat.start")
    except ModuleNotFoundError as missing:
        raise Mistake("The terminal client is a part of the SDK: pip install 'caas-server[chat]'.") from missing
    return int(begin.start(user, url=url, peer=peer, conversation=conversation, secret_key=secret_key))
