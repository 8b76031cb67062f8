"""`caas app`: make applications, and list them."""

from typing import Literal

import msgspec
from cyclopts import App

from caas.options import ConfigFile, Data, Json, Mistake, config_of
from caas.setup import Setup, on_setup
from caas.terminal import moment, print_json, print_pairs, print_table
from protocol import limits
from services.applications import Application

app = App(name="app", help="Applications: the tenants of this set-up. The server may be running.")


@app.command
def create(name: str, *, environment: Literal["live", "test"] = "live", json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """Make an application, and print its keys. The secret key is shown this once."""
    if not 0 < len(name) <= limits.NAME:
        raise Mistake(f"an application's name has 1 to {limits.NAME} characters")

    async def work(setup: Setup) -> tuple[Application, str]:
        made = await setup.applications.create(name, environment)
        return made, await setup.api_keys.create(made)

    made, secret = on_setup(config_of(config, data=data), work, make=True)
    if json:
        print_json({**msgspec.structs.asdict(made), "secret": secret})
    else:
        print_pairs({"application": made.id, "publishable key": made.publishable, "secret key": secret})
        print("\nThe secret key is for your backend alone, and is not shown again.")
    return 0


@app.command(name="list")
def list_(*, json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """List the applications, oldest first."""

    async def work(setup: Setup) -> list[Application]:
        return list(await setup.applications.list())

    found: list[Application] = on_setup(config_of(config, data=data), work)
    if json:
        print_json([msgspec.structs.asdict(one) for one in found])
    else:
        print_table(("id", "name", "environment", "publishable key", "created"),
                    [(one.id, one.name, one.environment, one.publishable, moment(one.created_at)) for one in found],
                    "There is no application: make one with `caas app create NAME`.")
    return 0
