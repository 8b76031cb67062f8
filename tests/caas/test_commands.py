"""`caas app`, `caas keys`, `caas token`: what they make counts, what they print can be read by machines, mistakes are one line and code 2."""

import json
import sqlite3
import sys
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from caas.__main__ import main
from caas.config import read_config
from caas.setup import Setup, on_setup
from services.scope import Scope
from services.sessions import CreateSession
from services.users import Profile
from tests.services.token_keys.keys import pem, private_pem


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def caas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Runs a command on a set-up of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("CAAS_DATA", "CAAS_CONFIG", "CAAS_PARTITIONS"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["caas", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return Ran(code, out, err) if isinstance(code, int) else Ran(1, out, f"{err}{code}\n")

    return run


@pytest.fixture
def shop(caas: Any) -> dict[str, Any]:
    made: dict[str, Any] = caas("app", "create", "Shop", "--json").json()
    return made


def with_setup(work: Any) -> Any:
    return on_setup(read_config({}), work)


def test_an_application_is_made_with_keys_that_open_it(caas: Any, shop: dict[str, Any]) -> None:
    assert shop["name"] == "Shop" and shop["environment"] == "live" and shop["publishable"].startswith("caas_live_pk_")

    async def opened(setup: Setup) -> str:
        return await setup.api_keys.authenticate(shop["secret"], "10.0.0.1")

    assert with_setup(opened) == shop["id"]
    assert (Path("data") / "master.key").stat().st_mode & 0o777 == 0o600
    caas("app", "create", "Shop", "--environment", "test")
    listed = caas("app", "list", "--json").json()
    assert listed[0]["id"] == shop["id"]
    assert [one["environment"] for one in listed] == ["live", "test"]
    table = caas("app", "list").out
    assert shop["id"] in table and shop["publishable"] in table and shop["secret"] not in table


def test_a_token_lets_its_user_in(caas: Any, shop: dict[str, Any]) -> None:
    made = caas("token", "Shop", "alice", "--name", "Alice", "--json").json()
    assert made["user"] == {"id": "alice", "display_name": "Alice"}

    async def entered(setup: Setup) -> Scope:
        sessions = await setup.make_sessions()
        fresh = await sessions.refresh(made["refresh_token"])
        assert fresh["user"] == made["user"]
        return (await sessions.authenticate_token(made["token"])).scope

    scope = with_setup(entered)
    assert (scope.tenant, scope.external) == (shop["id"], "alice")
    shown = caas("token", shop["id"], "alice").out
    assert shown.startswith("token ") and "\nrefresh token  caas_rt." in shown
    assert caas("token", "Shop", "alice", "--json").json()["user"] == made["user"]


def test_secret_keys_are_listed_made_rotated_and_revoked(caas: Any, shop: dict[str, Any]) -> None:
    second = caas("keys", "create", "Shop", "--json").json()["secret"]
    full = caas("keys", "create", "Shop")
    assert full.code == 2 and "revoke one first" in full.err
    first = caas("keys", "list", "Shop", "--json").json()[0]
    assert (first["ends_with"], first["last_used_at"]) == (shop["secret"][-4:], 0)
    assert caas("keys", "revoke", "Shop", first["id"]).code == 0
    third = caas("keys", "rotate", shop["id"], "--grace", "2h", "--json").json()["secret"]
    old, new = caas("keys", "list", "Shop", "--json").json()
    assert (old["ends_with"], new["ends_with"], new["expires_at"]) == (second[-4:], third[-4:], 0)
    assert 0 < old["expires_at"] - new["created_at"] - 7_200_000 < 60_000

    async def opened(setup: Setup) -> list[str]:
        return [await setup.api_keys.authenticate(key, "10.0.0.1") for key in (second, third)]

    assert with_setup(opened) == [shop["id"]] * 2
    assert all(key["last_used_at"] for key in caas("keys", "list", "Shop", "--json").json())
    listed = caas("keys", "list", "Shop").out
    assert not any(secret in listed for secret in (second, third))


@pytest.mark.parametrize("shape", ["pem", "jwk", "stdin"])
def test_a_public_half_is_registered_and_taken_back(caas: Any, shop: dict[str, Any], monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    key = Ed25519PrivateKey.generate()
    text = pem(key) if shape != "jwk" else OKPAlgorithm.to_jwk(key.public_key())
    Path("public").write_text(text)
    monkeypatch.setattr(sys, "stdin", StringIO(text))
    made = caas("keys", "register", "Shop", "-" if shape == "stdin" else "public", "--name", "backend", "--json").json()
    assert (made["algorithm"], made["application"], made["name"]) == ("EdDSA", shop["id"], "backend")
    assert [one["id"] for one in caas("keys", "list", "Shop", "--json").json() if one["kind"] == "token"] == [made["id"]]
    assert made["id"] in caas("keys", "list", "Shop").out
    assert caas("keys", "revoke", "Shop", made["id"]).code == 0
    assert [one["kind"] for one in caas("keys", "list", "Shop", "--json").json()] == ["secret"]


@pytest.mark.parametrize("words", [
    ("bogus",), ("app", "bogus"), ("app", "create"), ("app", "create", ""), ("app", "create", "x" * 257),
    ("app", "create", "x", "--environment", "prod"),
    ("app", "list", "--data", "nowhere"), ("keys", "list", "Nobody"), ("keys", "list"), ("keys", "revoke", "Shop", "nosuch"),
    ("keys", "revoke", "Shop", "tk_nosuch"), ("keys", "rotate", "Shop", "--grace", "8d"), ("keys", "rotate", "Shop", "--grace", "soon"),
    ("keys", "register", "Shop", "nowhere.pem"), ("keys", "register", "Shop", "private.pem"), ("keys", "register", "Shop", "binary"),
    ("keys", "register", "Shop", "broken.json"), ("keys", "register", "Shop", "empty"), ("token", "Nobody", "alice"), ("token", "Shop"),
    ("token", "Shop", "a/b"), ("token", "Shop", "me"), ("token", "Shop", "alice", "--name", "x" * 300), ("serve", "--port", "x"),
    ("serve", "--config", "nowhere.toml"), ("app", "list", "--config", "caas.toml"),
])
def test_a_mistake_is_one_line_and_code_2(caas: Any, shop: dict[str, Any], words: tuple[str, ...]) -> None:
    Path("private.pem").write_text(private_pem(Ed25519PrivateKey.generate()))
    Path("binary").write_bytes(bytes(range(256)))
    Path("broken.json").write_text('{"kty": ')
    Path("empty").write_text("")
    if words[-1] == "caas.toml":
        Path("caas.toml").write_text("port = 'many'")
    ran = caas(*words)
    assert ran.code == 2, ran
    assert ran.out == ""
    assert ran.err.startswith("caas: ") and ran.err.count("\n") == 1
    assert not Path("nowhere").exists()


def test_two_of_one_name_must_be_told_apart(caas: Any, shop: dict[str, Any]) -> None:
    other = caas("app", "create", "Shop", "--json").json()
    ran = caas("keys", "list", "Shop")
    assert ran.code == 2 and shop["id"] in ran.err and other["id"] in ran.err
    assert caas("keys", "list", other["id"], "--json").json()[0]["ends_with"] == other["secret"][-4:]


def test_what_people_wrote_moves_no_cursor(caas: Any) -> None:
    caas("app", "create", "\x1b[2J[red]Shop[/]\n\x07")
    listed = caas("app", "list").out
    assert "\x1b" not in listed and "\x07" not in listed and "[red]Shop[/]" in listed


def test_it_works_on_a_set_up_made_with_other_settings(caas: Any, monkeypatch: pytest.MonkeyPatch, shop: dict[str, Any]) -> None:
    monkeypatch.setenv("CAAS_PARTITIONS", "7")
    assert caas("app", "list", "--json").json()[0]["id"] == shop["id"]


def test_data_that_cannot_be_worked_with_is_code_1_and_left_alone(caas: Any, shop: dict[str, Any]) -> None:
    key = Path("data/master.key")
    kept = key.read_bytes()
    caas("token", "Shop", "alice")
    key.write_bytes(bytes(32))
    ran = caas("token", "Shop", "alice")
    assert ran.code == 1 and "put that one back" in ran.err
    key.unlink()
    ran = caas("token", "Shop", "alice")
    assert ran.code == 2 and "master.key is missing" in ran.err and not key.exists()
    key.write_bytes(kept)
    assert caas("token", "Shop", "alice").code == 0
    with closing(sqlite3.connect("data/caas.sqlite")) as connection:
        connection.execute("PRAGMA user_version=9999")
    assert "start a newer program" in caas("app", "list").err
    Path("data/caas.sqlite").write_text("no database at all")
    assert caas("app", "list").code == 1


def test_users_made_here_are_left_to_the_next_worker_to_tell_of(caas: Any, shop: dict[str, Any]) -> None:
    async def work(setup: Setup) -> Any:
        await (await setup.make_sessions()).create(Scope(shop["id"]), CreateSession(Profile("alice")))

    with_setup(work)
    with closing(sqlite3.connect("data/caas.sqlite")) as connection:
        (doc,) = connection.execute("SELECT doc FROM documents JOIN collections ON collections.id = collection WHERE name = 'users'").fetchone()
    user = msgspec.msgpack.decode(doc)
    assert (user["change"], user.get("told", 0), user["failed"]) == (1, 0, 1)
