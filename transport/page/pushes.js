// What each push means to a client. Durable ones wait for their turn; of the others there is none.
import { TYPING_MS } from "./room.js";

const PATIENCE_MS = 2000; // a head may be told before its push: so long it may take

export function take(client, push) {
  if (push.s === undefined) return EPHEMERAL[push.t]?.(client, push.p ?? {}, push.c);
  const room = client.rooms.get(push.c);
  const stream = push.c === "me" ? client.personal : room?.stream;
  if (!stream || stream.seq === undefined) return;
  for (const next of stream.take(push)) {
    if (room) inRoom(client, room, next);
    else PERSONAL[next.t]?.(client, next.p ?? {});
  }
  if (stream.hasHole) client.upkeep.repair(push.c);
}

function inRoom(client, room, push) {
  const { t, c, p = {} } = push;
  room.apply(push);
  client.chats.apply(push);
  if (t === "message.new") {
    client.outbox.seen(p);
    if (p.sender !== client.me) client.receipts.delivered(c, push.s);
  }
  if (REACTIONS.has(t) && room.list.lacks(p)) client.upkeep.renew(room, p.id);
  if (MEMBERS.has(t) && room.state === "in_room") client.upkeep.contacts.meet(c);
}

const REACTIONS = new Set(["reaction.added", "reaction.removed"]);
const MEMBERS = new Set(["member.added", "member.removed", "member.updated"]);

const PERSONAL = {
  "mention.new": (client) => client.upkeep.listSoon(),
  "invite.new": (client) => client.upkeep.listSoon(),
  "conversation.joined": (client, { conversation }) => client.upkeep.rejoined(conversation),
  "conversation.left": (client, { conversation }) => client.chats.forget(conversation),
  "read.moved": (client, { conversations }) => {
    for (const [c, seq] of Object.entries(conversations)) if (client.chats.read(c, seq)) client.upkeep.listSoon();
  },
  "message.hidden": (client, { conversation, id }) => client.rooms.get(conversation)?.list.hide(id),
  "block.changed": (client, { user, blocked }) => client.people.block(user, blocked),
  "setting.changed": (client, { name, value }) => name === "presence" && client.people.are({ user: client.me, ...value }),
};

const EPHEMERAL = {
  "message.read": (client, { user, seq }, c) => pointer(client, "read", c, user, seq),
  "message.delivered": (client, { user, seq }, c) => pointer(client, "delivered", c, user, seq),
  "typing.started": (client, { user, kind }, c) => {
    client.rooms.get(c)?.typing(user, kind ?? "text", client.now());
    setTimeout(() => client.told.changed(), TYPING_MS);
  },
  "typing.stopped": (client, { user }, c) => client.rooms.get(c)?.typing(user),
  "presence.changed": (client, presence) => client.people.are(presence),
  "capabilities.changed": (client, told, c) => client.rooms.get(c)?.describe(told),
  "conversation.watching": (client, told, c) => client.upkeep.watching(c, told),
  "notice.message": (client, notice, c) => {
    if (notice.sender !== client.me) client.receipts.delivered(c, notice.seq);
    client.chats.noticed(c, notice, client.now());
    client.upkeep.listSoon();
  },
  heads: (client, { epoch, conversations }) => {
    for (const [c, head] of Object.entries(conversations)) compare(client, c, head, epoch);
  },
};

function pointer(client, name, c, user, seq) {
  client.rooms.get(c)?.moved(name, user, seq);
  if (name === "read" && user === client.me && client.chats.read(c, seq)) client.upkeep.listSoon();
}

function compare(client, c, head, epoch) {
  const stream = c === "me" ? client.personal : client.rooms.get(c)?.stream;
  const isBehind = () => stream?.seq !== undefined && stream.seq < head;
  if (stream && stream.epoch !== epoch) client.upkeep.repair(c);
  else if (isBehind()) setTimeout(() => isBehind() && client.upkeep.repair(c), PATIENCE_MS);
}
