"""`caas keys`: an application's secret keys, two at most, and the public halves of the keys it signs user tokens with."""

import json as reading
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from caas.options import ConfigFile, Data, Json, Mistake, config_of
from caas.setup import Setup, on_setup
from caas.terminal import moment, print_json, print_pairs, print_table
from services.api_keys.service import MOST_GRACE_MS
from services.scope import Scope
from services.token_keys.model import CreateTokenKey, DeleteTokenKey, ListTokenKeys
from services.token_keys.service import PREFIX

app = App(name="keys", help="An application's keys. APP is its id, or its name. The server may be running: it knows within a second.")

Grace = Annotated[timedelta, Parameter(help="How long the key before it still works: 90s, 30m, 24h, 7d.")]
Source = Annotated[str, Parameter(allow_leading_hyphen=True, help="A file with a public key (PEM, or a JWK as JSON); - reads standard input.")]


@app.command(name="list")
def list_(application: str, *, json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """List secret keys and registered keys, with when each was last used."""

    async def work(setup: Setup) -> list[dict[str, Any]]:
        scope = Scope((await setup.application(application)).id)
        secret = [{"id": key, "kind": "secret", "ends_with": kept.last4, "created_at": kept.created_at, "last_used_at": kept.last_used_at,
                   "expires_at": kept.expires_at} for key, kept in await setup.api_keys.list(scope)]
        signing = (await setup.token_keys.list(scope, ListTokenKeys()))["items"]
        return secret + [{"kind": "token", "last_used_at": 0, **key} for key in signing]

    found: list[dict[str, Any]] = on_setup(config_of(config, data=data), work)
    if json:
        print_json(found)
    else:
        print_table(("id", "kind", "what", "created", "last used", "expires"),
                    [(key["id"], key["kind"], _what(key), moment(key["created_at"]), moment(key["last_used_at"]), moment(key.get("expires_at", 0)))
                     for key in found], "There is no key: make one with `caas keys create APP`.")
    return 0


@app.command
def create(application: str, *, json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """Make a second secret key. It is shown this once."""

    async def work(setup: Setup) -> str:
        return await setup.api_keys.create(await setup.application(application))

    return _show_secret(on_setup(config_of(config, data=data), work), json)


@app.command
def rotate(application: str, *, grace: Grace = timedelta(hours=24), json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """Make a new secret key, shown this once; the one before it ends after the grace."""
    grace_ms = round(grace.total_seconds() * 1000)
    if not 0 <= grace_ms <= MOST_GRACE_MS:
        raise Mistake("--grace is between 0s and 7d")

    async def work(setup: Setup) -> str:
        return await setup.api_keys.rotate(await setup.application(application), grace_ms)

    return _show_secret(on_setup(config_of(config, data=data), work), json)


@app.command
def revoke(application: str, key: str, *, data: Data = None, config: ConfigFile = None) -> int:
    """End a key, by the id that `caas keys list` shows: at once, and for good."""

    async def work(setup: Setup) -> None:
        scope = Scope((await setup.application(application)).id)
        if key.startswith(PREFIX):
            await setup.token_keys.delete(scope, DeleteTokenKey(key))
        else:
            await setup.api_keys.revoke(scope, key)

    on_setup(config_of(config, data=data), work)
    print(f"{key} opens nothing any more.")
    return 0


@app.command
def register(application: str, source: Source, *, name: str = "", json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """Register the public half of a key that the application signs user tokens with (docs/user-tokens.md)."""
    public = _public(source)

    async def work(setup: Setup) -> dict[str, Any]:
        scope = Scope((await setup.application(application)).id)
        made: dict[str, Any] = (await setup.token_keys.create(scope, CreateTokenKey(public, name)))["key"]
        return {**made, "application": scope.tenant}

    made: dict[str, Any] = on_setup(config_of(config, data=data), work)
    if json:
        print_json(made)
    else:
        print_pairs({"kid": made["id"], "iss": made["application"], "alg": made["algorithm"], "fingerprint": made["fingerprint"]})
    return 0


def _show_secret(secret: str, json: bool) -> int:
    if json:
        print_json({"secret": secret})
    else:
        print(f"{secret}\n\nIt is for your backend alone, and is not shown again.")
    return 0


def _what(key: dict[str, Any]) -> str:
    if key["kind"] == "secret":
        return f"...{key['ends_with']}"
    return " ".join(filter(None, (key["algorithm"], key["fingerprint"], key.get("name"))))


def _public(source: str) -> str | dict[str, Any]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"{source} cannot be read: {error}") from error
    if not text.lstrip().startswith("{"):
        return text
    try:
        jwk = reading.loads(text)
    except (ValueError, RecursionError) as error:
        raise Mistake(f"{source} is no JSON: {error}") from error
    return jwk if isinstance(jwk, dict) else text
