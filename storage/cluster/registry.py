"""The schema registry: what an entry looks like, registered before the first is written, by Confluent's API. Blocking; run it in a thread.

A program that can no longer read what an earlier one wrote (a kind of entry that it does not know any more, a field of another type) is
refused by the registry, and so does not start. One that is older than the latest is known already, and starts.
"""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec
import trio

from storage.failing import Unfit
from storage.ports.entry import Entry
from storage.ports.errors import StorageAway

ANSWER_S = 10.0
_JSON = "application/vnd.schemaregistry.v1+json"
_COMPATIBILITY = "BACKWARD_TRANSITIVE"
"""Whoever has this schema reads all that was written by those before it."""


def schema_of(kinds: Iterable[str]) -> dict[str, Any]:
    """The JSON Schema of a record: its entries by the names of their fields, as `storage/ports/entry.py` has them. What lies in Kafka is the
    same in fewer bytes: what stands in front as a msgpack array, the body behind it."""
    fields = [(field.name, field.type) for field in msgspec.structs.fields(Entry)]
    schema = msgspec.json.schema(msgspec.defstruct("Entry", fields))
    entry = schema["$defs"]["Entry"]
    entry["properties"]["kind"] = {"type": "string", "enum": sorted(kinds)}
    append = entry["properties"]["append"]
    append["items"] = append.pop("prefixItems")  # registries know draft 7, where a list of items is a tuple's
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Record", "type": "object", "required": ["entries"],
            "properties": {"entries": {"type": "array", "items": entry}}}


async def register(url: str, topic: str, kinds: Iterable[str]) -> int:
    """Have the schema of a topic's records registered; its id. Raises Unfit when it does not fit what was written before, StorageAway."""
    schema = json.dumps(schema_of(kinds), sort_keys=True)
    return await trio.to_thread.run_sync(partial(_register, Registry(url), f"{topic}-value", schema), abandon_on_cancel=True)


def _register(registry: "Registry", subject: str, schema: str) -> int:
    at, body = f"/subjects/{quote(subject, safe='')}", {"schemaType": "JSON", "schema": schema}
    status, said = registry.ask("POST", at, body)
    if status == 200:  # it is known already, be it the latest or not
        return int(said["id"])
    status, said = registry.ask("POST", f"/compatibility{at}/versions/latest?verbose=true", body)
    if status == 200 and not said.get("is_compatible", False):
        raise Unfit(f"this program cannot read all that others have written: its schema does not fit {subject} in the registry "
                    f"({'; '.join(said.get('messages') or ['no reason given'])[:500]}). Start a newer program")
    new = status == 404
    status, said = registry.ask("POST", f"{at}/versions", body)
    if status != 200:
        refused = said.get("message", status)
        status, said = registry.ask("POST", at, body)  # another node may have been quicker
        if status != 200:
            raise Unfit(f"the registry does not take the schema of {subject}: {refused}")
    if new:
        registry.ask("PUT", f"/config/{quote(subject, safe='')}", {"compatibility": _COMPATIBILITY})
    return int(said["id"])


class Registry:
    """The way to it: a URL, with a user and a password in it where there must be."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unfit(f"the registry's address cannot be used: {url!r}; it looks like http://127.0.0.1:8081")
        host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self._base = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        self._headers = {"Content-Type": _JSON, "Accept": _JSON}
        if parts.username:
            both = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """The status, and what was said. Raises StorageAway."""
        request = urllib.request.Request(f"{self._base}{path}", None if body is None else json.dumps(body).encode(), self._headers, method=method)  # noqa: S310 - checked above
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                raise StorageAway(f"the schema registry at {self._base} answers with {error.code}") from error
            return error.code, _read(error.read())
        except (OSError, urllib.error.URLError) as error:
            raise StorageAway(f"the schema registry at {self._base} does not answer: {error}") from error


def _read(data: bytes) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
