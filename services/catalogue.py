"""Every kind of entry, and who brings what for it. The fold's table is made of this."""

from services.blocks.fold import KINDS as BLOCKS
from services.conversations.fold import KINDS as CONVERSATIONS
from services.conversations.fold import decide_server_alone
from services.kinds import Kind, Kinds
from services.messages import fold as messages
from services.presence import fold as presence
from services.reactions import fold as reactions
from services.receipts import fold as receipts
from services.users import fold as users

KINDS: Kinds = {
    **CONVERSATIONS,
    "message.new": Kind("message.new", messages.decide_message, messages.render_message, amends=receipts.amend_everybody,
                        stub=messages.tombstone, barred=True, alone=False),
    "message.reply": Kind("message.new", messages.decide_message, messages.render_message, amends=receipts.amend_everybody,
                        stub=messages.tombstone, barred=True, alone=False),
    "message.edited": Kind("message.updated", messages.decide_edited, messages.render_edited, amends=messages.amend_edited, alone=False),
    "message.deleted": Kind("message.deleted", messages.decide_deleted, amends=messages.amend_deleted, alone=False),
    "message.pinned": Kind("message.pinned", messages.decide_pin, amends=messages.amend_pinned, alone=False),
    "message.unpinned": Kind("message.unpinned", messages.decide_pin, amends=messages.amend_unpinned, alone=False),
    "message.hidden": Kind("message.hidden", messages.decide_hidden, amends=messages.amend_hidden, alone=False),
    "reaction.added": Kind("reaction.added", reactions.decide_reaction, amends=reactions.amend_added, alone=False),
    "reaction.removed": Kind("reaction.removed", reactions.decide_reaction, amends=reactions.amend_removed, alone=False),
    **users.KINDS,
    **BLOCKS,
    **receipts.KINDS,
    **presence.KINDS,
    "user.connected": Kind("user.connected", decide_server_alone, alone=False),
}
