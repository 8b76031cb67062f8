"""Every kind of entry, and who brings what for it. The fold's table is made of this."""

from services.conversations import fold as conversations
from services.conversations.showing import render_created, trim_added, trim_removed
from services.kinds import Kind, Kinds
from services.messages import fold as messages
from services.users import fold as users

KINDS: Kinds = {
    "conversation.created": Kind("conversation.created", conversations.decide_created, render_created),
    "member.added": Kind("member.added", conversations.decide_member_added, trim=trim_added),
    "member.removed": Kind("member.removed", conversations.decide_member_removed, trim=trim_removed),
    "floor.raised": Kind("skip", conversations.decide_floor),
    "message.new": Kind("message.new", messages.decide_message, messages.render_message, alone=False),
    "message.reply": Kind("message.new", messages.decide_message, messages.render_message, alone=False),
    "conversation.joined": Kind("conversation.joined", conversations.decide_server_alone, alone=False),
    "conversation.left": Kind("conversation.left", conversations.decide_server_alone, alone=False),
    **users.KINDS,
    "user.connected": Kind("user.connected", conversations.decide_server_alone, alone=False),
}
