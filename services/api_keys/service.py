"""The verbs of secret keys: create, rotate, authenticate, list, revoke. Kept as SHA-256: 256 random bits need no slow hash.

An application has two at most: the one in use, and the next while its servers change over.
"""

from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address

import msgspec

from protocol.errors import Refused
from protocol.world import Clock, Rng
from services.api_keys.text import DEV_SECRET, is_publishable, make_key, secret_key_id
from services.api_keys.using import note_use
from services.applications.model import DEV, Application
from services.recent import Recent
from services.scope import SYSTEM, Scope
from storage.ports.documents import Documents, Held, version
from storage.ports.entry import Place

_KEYS = "api_keys"
MOST_OF_ONE = 2
MOST_GRACE_MS = 7 * 24 * 3_600_000
_TRUSTED_MS = 1_000
_MOST_CACHED = 2_000
_REVOKED = Place(1, 0, 0)
"""Later than every version number."""


class ApiKey(msgspec.Struct, frozen=True):
    """A secret key as stored."""

    application: str
    hash: bytes
    last4: str
    created_at: int
    last_used_at: int = 0
    """To the minute; 0: never."""
    expires_at: int = 0
    """From when on it opens nothing; 0: never."""


class ApiKeys:
    """Secret keys of every application."""

    def __init__(self, documents: Documents, clock: Clock, rng: Rng, *, dev: bool = False) -> None:
        """`dev`: the development set-up's key is taken too, from this machine alone."""
        self._documents, self._clock, self._rng, self._dev = documents, clock, rng, dev
        self._seen: Recent[bytes, tuple[str, int]] = Recent(_MOST_CACHED)  # hash: application, when it was looked up

    async def create(self, application: Application) -> str:
        """A new secret key, shown this once. Raises Refused when the application has as many as it may have."""
        found = await self._of(application.id)
        if len(found) >= MOST_OF_ONE:
            raise Refused("too_many", f"An application has {MOST_OF_ONE} secret keys at most: revoke one first.",
                          limit=("api_keys", MOST_OF_ONE, len(found) + 1))
        made = make_key(application.environment, "sk", self._rng)
        doc = ApiKey(application.id, _hash(made.text), made.text[-4:], self._clock.now_ms())
        if not await self._documents.put(SYSTEM, _KEYS, made.id, msgspec.structs.asdict(doc), version(1)):
            return await self.create(application)  # the id was taken: one in 2^40
        return made.text

    async def rotate(self, application: Application, grace_ms: int) -> str:
        """A new secret key, shown this once; the one before it opens nothing any more after the grace. Raises Refused."""
        if not 0 <= grace_ms <= MOST_GRACE_MS:
            raise Refused("bad_request", "The grace is 7 days at most.", field="grace")
        before = await self._of(application.id)
        made = await self.create(application)
        for held in before:
            await self._retire(held, self._clock.now_ms() + grace_ms)
        return made

    async def list(self, scope: Scope) -> Sequence[tuple[str, ApiKey]]:
        """The application's keys that are valid, oldest first: id, and what is kept of each."""
        return [(held.key, _as_key(held)) for held in await self._of(scope.tenant)]

    async def authenticate(self, text: str, peer: str) -> str:
        """The application that a secret key is of; `peer` is the address it came from. Raises Refused `token_invalid`."""
        if self._dev and compare_digest(text.encode(), DEV_SECRET.encode()) and is_loopback(peer):
            return DEV
        if (key := secret_key_id(text)) is None:
            hint = "A publishable key opens nothing: use a secret key." if is_publishable(text) else "This is not a valid secret key."
            raise Refused("token_invalid", hint)
        hashed = _hash(text)
        if (seen := self._seen.get(hashed)) and 0 <= self._clock.now_ms() - seen[1] < _TRUSTED_MS:
            return seen[0]
        return await self._looked_up(key, hashed)

    async def revoke(self, scope: Scope, key: str) -> None:
        """End a key of this application, for good: everywhere within a second. Raises Refused `not_found`."""
        held = await self._documents.get(SYSTEM, _KEYS, key)
        if held is None or held.doc["application"] != scope.tenant:
            raise Refused("not_found", "There is no such key.")
        await self._documents.delete(SYSTEM, _KEYS, key, _REVOKED)
        self._seen.forget(held.doc["hash"])

    async def _looked_up(self, key: str, hashed: bytes) -> str:
        now = self._clock.now_ms()
        held = await self._documents.get(SYSTEM, _KEYS, key)
        if held is None or not compare_digest(held.doc["hash"], hashed):
            raise Refused("token_invalid", "This is not a valid secret key.")
        stored = _as_key(held)
        if _is_over(stored, now):
            raise Refused("token_invalid", "This secret key was replaced, and its time is over: use the new one.")
        await note_use(self._documents, _KEYS, held, now)
        self._seen.put(hashed, (stored.application, now))
        return stored.application

    async def _retire(self, held: Held, at: int) -> None:
        """Let a key end at a time, unless it ends before. Whoever notes its use meanwhile does not undo it."""
        now: Held | None = held
        while now is not None and not 0 < (ends := _as_key(now).expires_at) <= at:
            doc = {**now.doc, "expires_at": min(at, ends or at)}
            if await self._documents.put(SYSTEM, _KEYS, held.key, doc, version(now.place.offset + 1)):
                return
            now = await self._documents.get(SYSTEM, _KEYS, held.key)

    async def _of(self, application: str) -> Sequence[Held]:
        """Its keys that are valid; those whose time is over are forgotten on the way."""
        found = await self._documents.find(SYSTEM, _KEYS, "of_application", (application,), limit=100)
        over = [held for held in found if _is_over(_as_key(held), self._clock.now_ms())]
        for held in over:
            await self._documents.delete(SYSTEM, _KEYS, held.key, _REVOKED)
        return sorted((held for held in found if held not in over), key=lambda held: (held.doc["created_at"], held.key))


def is_loopback(peer: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _as_key(held: Held) -> ApiKey:
    return msgspec.convert(held.doc, ApiKey)


def _is_over(key: ApiKey, now_ms: int) -> bool:
    return 0 < key.expires_at <= now_ms
