"""What can be typed behind a slash."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from caas_sdk.errors import CaasError

if TYPE_CHECKING:
    from caas_sdk.chat.app import Chat

Run = Callable[["Chat", list[str]], Awaitable[str]]

HELP = {
    "dm USER": "chat with somebody", "group NAME USER...": "begin a group", "open ID": "open a conversation by its id",
    "add USER...": "let users in here", "remove USER": "show a user out", "rename NAME": "give this conversation another name",
    "members": "who is here", "leave": "leave this conversation",
    "block USER": "take no more messages from somebody", "unblock USER": "take them again",
    "status online|away|dnd|invisible [TEXT]": "what others see of you", "help": "this", "quit": "leave",
}


async def run(chat: "Chat", line: str) -> str:
    """Carry out a line that begins with a slash; what to tell."""
    verb, *words = line[1:].split()
    command = _COMMANDS.get(verb)
    if command is None:
        return f"There is no /{verb}; /help lists what there is."
    try:
        return await command(chat, words)
    except CaasError as error:
        return f"/{verb}: {error}"
    except (IndexError, ValueError):
        return f"/{next((use for use in HELP if use.split()[0] == verb), verb)}"


async def _dm(chat: "Chat", words: list[str]) -> str:
    await chat.open(await chat.client.conversations.direct(words[0]))
    return ""


async def _group(chat: "Chat", words: list[str]) -> str:
    made = await chat.client.conversations.create(name=words[0], members=words[1:])
    await chat.open(made["id"])
    return ""


async def _open(chat: "Chat", words: list[str]) -> str:
    await chat.open(words[0])
    return ""


async def _add(chat: "Chat", words: list[str]) -> str:
    await chat.client.conversations.add(chat.here, words[0], *words[1:])
    return f"{', '.join(words)} let in."


async def _remove(chat: "Chat", words: list[str]) -> str:
    await chat.client.conversations.remove(chat.here, words[0])
    return f"{words[0]} shown out."


async def _rename(chat: "Chat", words: list[str]) -> str:
    await chat.client.conversations.update(chat.here, name=" ".join(words) or words[0])
    return ""


async def _members(chat: "Chat", words: list[str]) -> str:
    page = await chat.client.conversations.members(chat.here, limit=50)
    listed = ", ".join(f"{item['user']['id']} ({item['role']})" for item in page["items"])
    return listed + (" and more" if "next" in page else "")


async def _leave(chat: "Chat", words: list[str]) -> str:
    await chat.client.conversations.leave(chat.here)
    return "You have left."


async def _block(chat: "Chat", words: list[str]) -> str:
    await chat.client.users.block(words[0])
    return f"{words[0]} is blocked: neither of you can write in your conversation."


async def _unblock(chat: "Chat", words: list[str]) -> str:
    await chat.client.users.unblock(words[0])
    return f"{words[0]} is not blocked any more."


async def _status(chat: "Chat", words: list[str]) -> str:
    status = words[0]
    if status not in ("online", "away", "dnd", "invisible"):
        raise ValueError
    p = {"status": status, **({"text": " ".join(words[1:])} if words[1:] else {})}
    await chat.client.answer(chat.client.begin("presence.set", p))
    return f"Others see you as {status} now."


async def _help(chat: "Chat", words: list[str]) -> str:
    return "\n".join(f"/{use}  {what}" for use, what in HELP.items())


async def _quit(chat: "Chat", words: list[str]) -> str:
    chat.exit()
    return ""


_COMMANDS: dict[str, Run] = {
    "dm": _dm, "group": _group, "open": _open, "add": _add, "remove": _remove, "rename": _rename, "members": _members, "leave": _leave,
    "block": _block, "unblock": _unblock, "status": _status, "help": _help, "quit": _quit,
}
