"""What people and conversations are called, asked for once."""

from caas_sdk.client import Client
from caas_sdk.core.inbox import Row


class People:
    """Display names of users, and who the other one is in conversations of two."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._names: dict[str, str] = {}
        self._peers: dict[str, str] = {}

    def name(self, user: str) -> str:
        """What a user is called; the id, while that is not known."""
        return self._names.get(user, user)

    def peer(self, c: str) -> str | None:
        """The other one in a conversation of two."""
        return self._peers.get(c)

    def title(self, row: Row) -> str:
        """What a conversation is called."""
        peer = self._peers.get(row.id)
        return self.name(peer) if peer else str(row.conversation.get("name") or row.id)

    async def learn(self, users: set[str]) -> bool:
        """Ask for the names of those that are not known yet. Whether there were any."""
        new = [user for user in users if user and user not in self._names][:100]
        if new:
            self._names |= dict.fromkeys(new, "") | {user: user for user in new}
            self._names |= {item["id"]: item.get("display_name") or item["id"] for item in await self._client.users.get(*new)}
        return bool(new)

    async def meet(self, rows: list[Row]) -> bool:
        """Find out who is in conversations of two, and whether they are there. Whether any were new."""
        new = [row.id for row in rows if row.conversation.get("type") == "direct" and row.id not in self._peers]
        for c in new:
            members = [item["user"]["id"] for item in (await self._client.conversations.members(c, limit=2))["items"]]
            self._peers[c] = next((user for user in members if user != self._client.user_id), self._client.user_id)
        met = {self._peers[c] for c in new}
        if met:
            await self._client.presence.watch(*met)
            await self.learn(met)
        return bool(new)
