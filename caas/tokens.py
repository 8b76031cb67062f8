"""`caas token`: a user's token for trying out, without a backend."""

from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from caas.options import ConfigFile, Data, Json, Mistake, config_of
from caas.setup import Setup, on_setup
from caas.terminal import moment, print_json, print_pairs
from protocol.codec import refuse_shape
from services.scope import Scope
from services.sessions import CreateSession

Name = Annotated[str, Parameter(help="Their display name; left out, it stays as it is.")]


def token(application: str, user: str, *, name: Name = "", json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """Print a token for a user, who is created, and the refresh token that makes the next one. APP is an application's id or name."""

    asked = _asked({"user": {"external_id": user, **({"display_name": name} if name else {})}})

    async def work(setup: Setup) -> dict[str, Any]:
        scope = Scope((await setup.application(application)).id)
        return await (await setup.make_sessions()).create(scope, asked)

    made: dict[str, Any] = on_setup(config_of(config, data=data), work)
    if json:
        print_json(made)
    else:
        print_pairs({"token": made["token"], "refresh token": made["refresh_token"], "expires": moment(made["expires_at"]) + " UTC"})
    return 0


def _asked(body: dict[str, Any]) -> CreateSession:
    try:
        return msgspec.convert(body, CreateSession)
    except msgspec.ValidationError as error:
        raise Mistake(refuse_shape(error).message) from error
