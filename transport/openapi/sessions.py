"""The routes of sessions: they are no commands of the socket, so they are declared here."""

from typing import Final

import msgspec

from protocol.examples import ALICE, AT, Example
from protocol.replies import Nothing, SessionMade
from protocol.shapes import UserId
from services.sessions import CreateSession, RefreshSession
from transport.openapi.routes import BASE, Route


class OfSession(msgspec.Struct, frozen=True):
    """Which session."""

    session: str


class OfUser(msgspec.Struct, frozen=True):
    """Whose sessions."""

    user: UserId


_PROFILE = {"external_id": ALICE["id"], **{name: value for name, value in ALICE.items() if name != "id"}}
_MADE = {"token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
         "refresh_token": "caas_rt.dev.s4k2m9.0.c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0w", "expires_at": AT + 900_000, "user": ALICE}

CREATE: Final = Route(
    name="sessions.create", method="POST", path=f"{BASE}/sessions/create", params=CreateSession, answers=SessionMade, statuses=(201,),
    who="application", summary="A session for a user, who is created; of a known user only the given fields change.",
    example=Example({"user": _PROFILE}, _MADE))
CREATE_ELSEWHERE: Final = msgspec.structs.replace(CREATE, name="sessions.create.unversioned", path="/api/sessions/create")
REFRESH: Final = Route(
    name="sessions.refresh", method="POST", path=f"{BASE}/sessions/refresh", params=RefreshSession, answers=SessionMade, statuses=(201,),
    who="anyone", refuses=("token_invalid",), summary="A fresh token, and the next refresh token; the old one dies.",
    example=Example({"refresh_token": _MADE["refresh_token"]}, _MADE))
END: Final = Route(
    name="sessions.end", method="DELETE", path=f"{BASE}/sessions/{{session}}", params=OfSession, answers=Nothing,
    summary="End a session and its connections: the application any, a user their own.", example=Example({"session": "s4k2m9"}, {}))
END_ALL: Final = Route(
    name="sessions.end_all", method="DELETE", path=f"{BASE}/users/{{user}}/sessions", params=OfUser, answers=Nothing, refuses=("forbidden",),
    summary="End every session of a user: the application anybody's, a user their own.", example=Example({"user": "alice"}, {}))
END_EVERYBODY: Final = Route(
    name="sessions.end_everybody", method="DELETE", path=f"{BASE}/sessions", answers=Nothing, who="application", refuses=("storage_full",),
    summary="End every session of the application, and every token that it signed by itself until now.", example=Example({}, {}))
