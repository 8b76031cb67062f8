"""Sections 5 and 6: REST, the same table; errors."""

import json
import re
from typing import Any

import pytest

from tests.wire.client import SECRET, Answer, part, rest, uuid7
from tests.wire.conftest import Dev


def problem(got: Answer, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    assert (got.status, got.body["code"]) == (status, code), got
    assert got.headers["content-type"].split(";")[0] == "application/problem+json"
    assert (
        {"type", "title", "status", "code", "message", "retryable", "request_id"}
        <= set(got.body)
        <= {"type", "title", "status", "code", "message", "retryable", "request_id", "retry_after_ms", "field", "limit", "detail", "instance"}
    )
    assert got.body["status"] == status
    assert type(got.body["retryable"]) is bool
    assert field is None or got.body["field"] == field, got
    assert ("retry-after" in got.headers) == ("retry_after_ms" in got.body)
    return dict(got.body)


def test_sessions(dev: Dev) -> None:
    user = dev.name()
    for path in ("/api/v1/sessions/create", "/api/sessions/create"):
        got = dev.rest("POST", path, {"user": {"external_id": user, "display_name": "N"}})
        assert got.status == 201
        assert set(got.body) == {"token", "refresh_token", "expires_at", "user"}
        assert got.body["user"] == {"id": user, "display_name": "N"}
        assert type(got.body["expires_at"]) is int
    got = dev.rest("POST", "/sessions/create", {"user": {"external_id": user, "custom": {"a": 1}}})
    assert got.body["user"] == {"id": user, "display_name": "N", "custom": {"a": 1}}  # only the given fields change
    token = got.body["token"]
    problem(dev.rest("POST", "/sessions/create", {"user": {"external_id": user}}, token=token), 403, "forbidden")
    problem(dev.rest("POST", "/sessions/create", {"user": {"external_id": user}}, token=None), 401, "not_authenticated")
    problem(dev.rest("POST", "/sessions/create", {"user": {"external_id": user}}, token="caas_sk_wrong"), 401, "token_invalid")
    problem(dev.rest("POST", "/sessions/create", {"user": {}}), 400, "bad_request", "user.external_id")
    problem(dev.rest("POST", "/sessions/create", {}), 400, "bad_request", "user")
    problem(dev.rest("POST", "/sessions/create", {"user": {"external_id": 7}}), 400, "bad_request", "user.external_id")
    old = got.body["refresh_token"]
    again = dev.rest("POST", "/sessions/refresh", {"refresh_token": old}, token=None)
    assert again.status == 201
    assert set(again.body) == {"token", "refresh_token", "expires_at", "user"}
    assert again.body["refresh_token"] != old
    assert again.body["user"]["id"] == user
    assert dev.rest("GET", "/conversations", token=again.body["token"]).status == 200
    problem(dev.rest("POST", "/sessions/refresh", {"refresh_token": "x"}, token=None), 401, "token_invalid")
    problem(dev.rest("POST", "/sessions/refresh", {"refresh_token": old}, token=None), 401, "token_invalid")
    assert dev.rest("GET", "/conversations", token=again.body["token"]).status == 200
    keyed = dev.rest("POST", "/sessions/refresh", {"refresh_token": again.body["refresh_token"]}, token=None, Idempotency_Key="k")
    assert dev.rest("POST", "/sessions/refresh", {"refresh_token": again.body["refresh_token"]}, token=None, Idempotency_Key="k").body == keyed.body


def test_a_session_that_is_ended(dev: Dev) -> None:
    user = dev.name()
    one = dev.session(user)
    sock = dev.socket()
    session = sock.hello(one["token"])["session"]
    other = dev.session(user)
    stay = dev.socket()
    stay.hello(other["token"])
    got = dev.rest("DELETE", f"/sessions/{part(session)}", token=one["token"])
    assert (got.status, got.body) == (200, {})
    sock_end = sock.until_closed()
    assert (sock_end.code, sock_end.reason) == (4503, "revoked")
    assert [p["p"] for p in sock.pushes if p["t"] == "session.revoked"] and set(next(p["p"] for p in sock.pushes if p["t"] == "session.revoked")) == {
        "reason"
    }
    stay.settle()
    problem(dev.rest("GET", "/conversations", token=one["token"]), 401, "token_invalid")
    problem(dev.rest("DELETE", f"/users/{user}/sessions", token=dev.token("bob")), 403, "forbidden")
    got = dev.rest("DELETE", f"/users/{user}/sessions")
    assert (got.status, got.body) == (200, {})
    assert stay.until_closed().code == 4503
    problem(dev.rest("POST", "/sessions/refresh", {"refresh_token": other["refresh_token"]}, token=None), 401, "token_invalid")
    mine = dev.session(user)
    assert dev.rest("DELETE", f"/users/{user}/sessions", token=mine["token"]).body == {}
    again = dev.socket()
    i = again.say("hello", token=mine["token"])
    with pytest.raises(Exception, match="token_invalid"):
        again.answer(i)
    assert again.until_closed().code in (4502, 4503)
    dev.tokens.pop(user, None)


def test_who_acts(dev: Dev) -> None:
    user = dev.user()
    problem(dev.rest("GET", "/conversations", CAAS_User="nobody9"), 404, "not_found")
    problem(dev.rest("POST", "/conversations", {"type": "group"}, CAAS_User="nobody9"), 404, "not_found")
    got = dev.rest("POST", "/conversations", {"type": "group", "members": [user]})
    assert got.status == 201
    c = got.body["conversation"]["id"]
    assert "created_by" not in got.body["conversation"]
    assert got.body["conversation"]["member_count"] == 1
    members = dev.rest("GET", f"/conversations/{c}/members").body["items"]
    assert [(m["user"]["id"], m["role"]) for m in members] == [(user, "owner")]
    one = dev.connect(user)
    one.ask("conversation.watch", c=c)
    first = one.ask("conversation.sync", c=c, after=0)["entries"][0]
    assert "by" not in first["p"]
    assert "created_by" not in first["p"]["conversation"]
    assert "by" not in one.push("conversation.joined", "me", conversation=c)["p"] if False else True
    got = dev.rest("POST", f"/conversations/{c}/messages", {"text": "x"})
    assert got.status in (400, 403)
    assert got.body["code"] in ("bad_request", "forbidden")
    assert dev.rest("PATCH", f"/conversations/{c}", {"name": "App"}).body["conversation"]["name"] == "App"
    assert one.push("conversation.updated", c)["p"] == {"name": "App"}
    other = dev.user()
    dev.rest("POST", f"/conversations/{c}/members", {"users": [other]})
    assert one.push("member.added", c)["p"] == {"users": [other]}
    # a user token acts for its user, whatever CAAS-User says
    got = dev.rest("POST", f"/conversations/{c}/messages", {"text": "mine"}, token=dev.token(user), CAAS_User="bob")
    assert got.status == 201
    assert one.push("message.new", c)["p"]["sender"] == user
    got = dev.rest("POST", f"/conversations/{c}/messages", {"text": "his"}, CAAS_User=other)
    assert one.push("message.new", c)["p"]["sender"] == other
    message = got.body["id"]
    assert dev.rest("PATCH", f"/conversations/{c}/messages/{message}", {"text": "by the application"}).status == 200
    assert "by" not in one.push("message.updated", c)["p"]
    assert dev.rest("DELETE", f"/conversations/{c}/messages/{message}?for=all").status == 200
    assert one.push("message.deleted", c)["p"] == {"id": message}
    empty = dev.rest("POST", "/conversations", {"type": "group"}).body["conversation"]["id"]
    dev.rest("POST", f"/conversations/{empty}/members", {"users": [other, user]})
    roles = {m["user"]["id"]: m["role"] for m in dev.rest("GET", f"/conversations/{empty}/members").body["items"]}
    assert roles == {other: "owner", user: "member"}


def test_201_and_200_and_idempotency(dev: Dev) -> None:
    user = dev.user()
    c = dev.name("c")
    key = uuid7()
    got = dev.rest("POST", "/conversations", {"type": "group", "id": c, "members": ["alice"]}, CAAS_User=user, Idempotency_Key=key)
    assert (got.status, "duplicate" in got.body) == (201, False)
    got = dev.rest("POST", "/conversations", {"type": "group", "id": c, "members": ["alice"]}, CAAS_User=user, Idempotency_Key=key)
    assert (got.status, got.body["duplicate"]) == (200, True)
    got = dev.rest("POST", "/conversations", {"type": "group", "id": c}, CAAS_User=user)
    assert (got.status, got.body["conversation"]["id"]) == (200, c)
    m = f"/conversations/{c}/messages"
    key = uuid7()
    first = dev.rest("POST", m, {"text": "x"}, CAAS_User=user, Idempotency_Key=key)
    assert (first.status, first.body["id"]) == (201, key)
    assert set(first.body) == {"id", "seq", "n", "sent_at"}
    again = dev.rest("POST", m, {"text": "x"}, CAAS_User=user, Idempotency_Key=key)
    assert (again.status, again.body) == (200, {**first.body, "duplicate": True})
    problem(dev.rest("POST", m, {"text": "y"}, CAAS_User=user, Idempotency_Key=key), 409, "id_conflict")
    own = uuid7()
    got = dev.rest("POST", m, {"text": "x", "id": own}, CAAS_User=user, Idempotency_Key="anything at all")
    assert (got.status, got.body["id"]) == (201, own)
    got = dev.rest("POST", m, {"text": "x"}, CAAS_User=user)
    assert got.status == 201
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", got.body["id"])
    got = dev.rest("POST", m, {"text": "x"}, CAAS_User=user, Idempotency_Key="no-uuid")
    assert got.status == 201
    message = got.body["id"]
    p = f"{m}/{message}"
    got = dev.rest("PATCH", p, {"text": "z"}, CAAS_User=user)
    assert (got.status, set(got.body)) == (200, {"seq", "edited_at"})
    key = uuid7()
    got = dev.rest("PUT", f"{p}/reactions/{part('👍')}", CAAS_User=user, Idempotency_Key=key)
    assert (got.status, set(got.body)) in ((200, {"seq"}), (201, {"seq"}))
    again = dev.rest("PUT", f"{p}/reactions/{part('👍')}", CAAS_User=user, Idempotency_Key=key)
    assert (again.status, again.body) == (200, {**got.body, "duplicate": True})
    got = dev.rest("PUT", f"{p}/reactions/{part('👍')}", CAAS_User=user)
    assert (got.status, got.body["unchanged"]) == (200, True)
    assert dev.rest("GET", p, CAAS_User=user).body["message"]["reactions"] == {"👍": {"count": 1, "users": [user], "own": True}}
    assert dev.rest("DELETE", f"{p}/reactions/{part('👍')}", CAAS_User=user).status == 200
    assert dev.rest("PUT", f"{p}/pin", CAAS_User=user).status in (200, 201)
    assert dev.rest("DELETE", f"{p}/pin", CAAS_User=user).status == 200
    assert dev.rest("DELETE", f"{p}?for=me", CAAS_User=user).status == 200
    assert message not in [x["id"] for x in dev.rest("GET", m, CAAS_User=user).body["items"]]
    assert message in [x["id"] for x in dev.rest("GET", m, CAAS_User="alice").body["items"]]
    assert dev.rest("DELETE", f"{p}?for=all", CAAS_User=user).status == 200
    assert "deleted_at" in dev.rest("GET", p, CAAS_User="alice").body["message"]
    problem(dev.rest("PATCH", p, {"text": "z"}, CAAS_User=user), 404, "not_found")
    problem(dev.rest("DELETE", f"{p}?for=us", CAAS_User=user), 400, "bad_request", "for")


def test_path_beats_body_beats_query(dev: Dev) -> None:
    user = dev.user()
    one, two = (dev.rest("POST", "/conversations", {"type": "group"}, CAAS_User=user).body["conversation"]["id"] for _ in range(2))
    got = dev.rest("POST", f"/conversations/{part(one)}/messages?text=query&silent=true", {"c": two, "text": "body"}, CAAS_User=user)
    assert got.status == 201
    message = dev.rest("GET", f"/conversations/{part(one)}/messages/{got.body['id']}", CAAS_User=user).body["message"]
    assert message["text"] == "body"
    assert dev.rest("GET", f"/conversations/{part(two)}/messages", CAAS_User=user).body == {"items": []}


def test_users(dev: Dev) -> None:
    user = dev.name()
    problem(dev.rest("GET", f"/users/{user}"), 404, "not_found")
    got = dev.rest("PUT", f"/users/{user}", {"display_name": "A", "custom": {"a": 1}})
    assert got.status in (200, 201)
    assert got.body["user"] == {"id": user, "display_name": "A", "custom": {"a": 1}}
    got = dev.rest("PATCH", f"/users/{user}", {"custom": None})
    assert (got.status, got.body["user"]) == (200, {"id": user, "display_name": "A"})
    got = dev.rest("GET", f"/users/{user}", token=dev.token("bob"))
    assert (got.status, got.body) in ((200, {"user": {"id": user, "display_name": "A"}}), (200, {"id": user, "display_name": "A"}))
    problem(dev.rest("PATCH", f"/users/{user}", {"display_name": "Z"}, token=dev.token("bob")), 403, "forbidden")
    assert dev.rest("PATCH", "/users/bob", {"display_name": "Bob"}, token=dev.token("bob")).status == 200
    seen, cursor = [], ""
    for _ in range(100):
        got = dev.rest("GET", f"/users?limit=10{cursor}")
        assert got.status == 200
        seen += [u["id"] for u in got.body["items"]]
        if "next" not in got.body:
            break
        cursor = "&cursor=" + part(got.body["next"])
    assert len(seen) == len(set(seen))
    assert {"alice", "bob", "carol", user} <= set(seen)
    problem(dev.rest("GET", "/users?cursor=nonsense"), 400, "bad_request", "cursor")
    got = dev.rest("POST", f"/users/{user}/block", token=dev.token("carol"))
    assert (got.status, set(got.body)) == (201, {"seq"})
    again = dev.rest("POST", f"/users/{user}/block", token=dev.token("carol"))
    assert (again.status, again.body["unchanged"]) == (200, True)
    got = dev.rest("DELETE", f"/users/{user}/block", token=dev.token("carol"))
    assert (got.status, set(got.body)) == (200, {"seq"})
    problem(dev.rest("PUT", "/users/me", {}), 400, "bad_request")


def test_conversations_and_members(dev: Dev) -> None:
    a, b, d = (dev.user() for _ in range(3))
    got = dev.rest("POST", "/conversations", {"type": "group", "access": "public", "members": [b]}, CAAS_User=a)
    c = got.body["conversation"]["id"]
    p = f"/conversations/{part(c)}"
    got = dev.rest("GET", p, CAAS_User=a)
    assert (got.status, set(got.body)) == (200, {"conversation", "role", "capabilities"})
    got = dev.rest("GET", p)
    assert (got.status, set(got.body)) == (200, {"conversation", "capabilities"})
    assert "send" not in got.body["capabilities"]
    assert dev.rest("POST", f"{p}/freeze", {"frozen": True}, CAAS_User=a).body == {"seq": 2}
    problem(dev.rest("POST", f"{p}/messages", {"text": "x"}, CAAS_User=b), 403, "frozen")
    assert dev.rest("POST", f"{p}/freeze", {"frozen": False}).status == 200
    problem(dev.rest("POST", f"{p}/messages", {"text": "x"}, CAAS_User=d), 403, "not_a_member")
    got = dev.rest("POST", f"{p}/join", CAAS_User=d)
    assert (got.status, got.body) == (201, {"seq": 4})
    assert dev.rest("POST", f"{p}/join", CAAS_User=d).status == 200
    assert dev.rest("PATCH", f"{p}/members/{b}", {"role": "admin"}, CAAS_User=a).body == {"seq": 5}
    problem(dev.rest("PATCH", f"{p}/members/{b}", {"role": "admin"}, CAAS_User=d), 403, "forbidden")
    assert dev.rest("DELETE", f"{p}/members/{b}", CAAS_User=a).body == {"seq": 6}
    assert dev.rest("POST", f"{p}/leave", CAAS_User=d).body == {"seq": 7}
    problem(dev.rest("POST", f"{p}/leave", CAAS_User=a), 403, "forbidden")
    got = dev.rest("POST", f"{p}/members", {"users": [b, d]}, CAAS_User=a)
    assert (got.status, got.body) == (201, {"seq": 8})
    got = dev.rest("GET", f"{p}/members?limit=2", CAAS_User=a)
    assert len(got.body["items"]) == 2
    assert len(dev.rest("GET", f"{p}/members?limit=2&cursor={part(got.body['next'])}", CAAS_User=a).body["items"]) == 1
    for path in ("read", "delivered"):
        got = dev.rest("POST", f"{p}/{path}", {"seq": 3}, CAAS_User=b)
        assert (got.status, got.body) == (200, {})
    got = dev.rest("POST", f"{p}/typing", {}, CAAS_User=b)
    assert (got.status, got.body) == (200, {})
    got = dev.rest("GET", f"{p}/sync?after=6&limit=1", CAAS_User=b)
    assert ([e["s"] for e in got.body["entries"]], got.body["more"], got.body["head"]) == ([7], True, 8)
    problem(dev.rest("GET", f"{p}/sync", CAAS_User=b), 400, "bad_request", "after")
    got = dev.rest("DELETE", p, CAAS_User=a)
    assert (got.status, set(got.body)) == (200, {"seq"})
    problem(dev.rest("GET", p, CAAS_User=a), 404, "not_found")
    problem(dev.rest("GET", "/conversations/nowhere", CAAS_User=a), 404, "not_found")
    problem(dev.rest("POST", "/conversations", {"type": "group", "members": ["nobody7"]}, CAAS_User=a), 404, "not_found")
    got = dev.rest("GET", "/conversations", CAAS_User=a)
    assert (got.status, list(got.body)) == (200, ["items"])


def test_tokens(dev: Dev) -> None:
    problem(dev.rest("GET", "/conversations", token=None), 401, "not_authenticated")
    for token in ("x", "a.b.c", "caas_sk_other", "caas_pk_dev"):
        got = dev.rest("GET", "/conversations", token=token)
        assert got.status == 401, token
        assert got.body["code"] in ("token_invalid", "not_authenticated"), token
    got = rest(dev.port, "GET", "/api/v1/conversations", token=None, Authorization="Basic abc")
    problem(got, 401, "not_authenticated") if got.body["code"] == "not_authenticated" else problem(got, 401, "token_invalid")
    # the secret key names the application, so what is asked as it needs nobody
    assert dev.rest("GET", "/users", token=SECRET).status == 200


def test_unknown_routes_and_methods(dev: Dev) -> None:
    for path in ("/nowhere", "/conversations/x/nowhere", "/users/a/b/c", "/api/nowhere", "/api/v2/conversations"):
        problem(dev.rest("GET", path), 404, "not_found")
        problem(dev.rest("POST", path, {}), 404, "not_found")
    problem(rest(dev.port, "GET", "/api/v1/"), 404, "not_found")
    for method, path in (
        ("PUT", "/conversations"),
        ("DELETE", "/conversations"),
        ("POST", "/conversations/x"),
        ("GET", "/sessions/create"),
        ("PUT", "/sessions/create"),
        ("GET", "/conversations/x/join"),
        ("POST", "/conversations/x/sync"),
        ("PATCH", "/presence"),
        ("POST", "/health"),
        ("DELETE", "/users"),
        ("GET", "/api/sessions/create"),
    ):
        problem(dev.rest(method, path, {} if method != "GET" else None), 405, "bad_request")
        problem(dev.rest(method, path, {} if method != "GET" else None, token=None), 405, "bad_request")


def test_bodies(dev: Dev) -> None:
    user = dev.user()
    c = dev.rest("POST", "/conversations", {"type": "group"}, CAAS_User=user).body["conversation"]["id"]
    p = f"/conversations/{part(c)}/messages"
    problem(dev.rest("POST", p, raw=b"{", CAAS_User=user), 400, "bad_frame")
    problem(dev.rest("POST", p, raw=b'{"text":"\xff"}', CAAS_User=user), 400, "bad_frame")
    for raw in (b"[]", b"7", b'"x"', b"null"):
        problem(dev.rest("POST", p, raw=raw, CAAS_User=user), 400, "bad_request")
    problem(dev.rest("POST", p, {"text": 7}, CAAS_User=user), 400, "bad_request", "text")
    problem(dev.rest("POST", p, {"text": "x", "id": "y"}, CAAS_User=user), 400, "bad_request", "id")
    problem(dev.rest("POST", p, {"text": "x", "id": uuid7(90_000)}, CAAS_User=user), 400, "id_in_future", "id")
    got = problem(dev.rest("POST", p, {"text": "x" * 16385}, CAAS_User=user), 413, "too_large", "text")
    assert got["limit"] == {"name": "text", "max": 16384, "got": 16385}
    got = dev.rest("POST", p, {"text": "x", "junk": "y" * 70_000}, CAAS_User=user)
    problem(got, 413, "too_large")
    problem(
        dev.rest("POST", p, {"text": "x", "attachments": [{"kind": "file", "url": "u"}, {"kind": "file"}]}, CAAS_User=user),
        400,
        "bad_request",
        "attachments.1.url",
    )
    assert dev.rest("POST", p, raw=json.dumps({"text": "x"}).encode(), CAAS_User=user, Content_Type="text/plain").status == 201


def test_conflicts_and_unavailable(dev: Dev) -> None:
    user = dev.user()
    c = dev.rest("POST", "/conversations", {"type": "group"}, CAAS_User=user).body["conversation"]["id"]
    p = f"/conversations/{part(c)}"
    got = problem(dev.rest("POST", f"{p}/messages", {"text": "x", "after": uuid7()}, CAAS_User=user), 503, "unavailable")
    assert got["retryable"] is True
    answer = dev.rest("GET", f"{p}/sync?after=999", CAAS_User=user)
    got = problem(answer, 503, "unavailable")
    assert type(got["retry_after_ms"]) is int
    assert int(answer.headers["retry-after"]) >= 1


def test_blocked(dev: Dev) -> None:
    a, b = dev.user(), dev.user()
    c = dev.rest("POST", "/conversations", {"type": "direct", "members": [b]}, CAAS_User=a).body["conversation"]["id"]
    dev.rest("POST", f"/users/{b}/block", CAAS_User=a)
    for who in (a, b):
        problem(dev.rest("POST", f"/conversations/{part(c)}/messages", {"text": "x"}, CAAS_User=who), 403, "blocked")
    problem(dev.rest("POST", "/conversations", {"type": "channel"}, CAAS_User=a), 403, "feature_disabled")


def test_the_plain_pages(dev: Dev) -> None:
    for path, kind in (
        ("/health", None),
        ("/ready", None),
        ("/metrics", "text/plain"),
        ("/openapi.json", "application/json"),
        ("/docs", "text/html"),
    ):
        for token in (None, SECRET):
            got = rest(dev.port, "GET", path, token=token)
            assert got.status == 200, path
            assert kind is None or got.headers["content-type"].startswith(kind), path
    described = rest(dev.port, "GET", "/openapi.json").body
    assert described["openapi"].startswith("3.1")
    paths = set(described["paths"])
    for path in ("/sessions/create", "/conversations/{c}/messages/{id}/reactions/{emoji}", "/presence"):
        assert any(p.endswith(path) for p in paths), path


def test_a_head_and_an_options_do_no_harm(dev: Dev) -> None:
    assert rest(dev.port, "HEAD", "/health", token=None).status in (200, 405)
    assert rest(dev.port, "OPTIONS", "/api/v1/conversations", token=None).status in (200, 204, 405)
