// The list of conversations: who, what was said last, how much is unread.
import { face, icon, make, said, sync } from "./dom.js";
import { brief } from "./times.js";
import { PRESENCE, SAY } from "./words.js";

export class Rows {
  constructor(told) {
    this.list = make("ul.rows", { "aria-label": SAY.conversations });
    this.begin = make("button.round", { type: "button", title: SAY.begin, "aria-label": SAY.begin, click: () => told.begin() }, icon("plus"));
    this.node = make("nav.chats", { "aria-label": SAY.conversations }, make("div.title", {}, make("span", { text: SAY.conversations }), this.begin), this.list);
    this.told = told;
  }

  draw(client, shown, now) {
    sync(this.list, client.chats.rows.map((row) => {
      const view = this.#view(client, row, shown, now);
      return { key: row.conversation.id, sign: JSON.stringify(view), build: () => this.#row(view) };
    }));
  }

  #view(client, row, shown, now) {
    const { id } = row.conversation;
    const typers = client.rooms.get(id)?.typers(now).map((user) => client.people.name(user)) ?? [];
    const unsent = client.outbox.of(id).at(-1);
    const last = unsent ? { ...unsent.p, sender: client.me, sent_at: unsent.at } : row.last_message;
    const other = row.conversation.type === "direct" ? client.people.other(id) : undefined;
    return {
      id, typers, other, name: title(client, id), isShown: id === shown, unread: client.chats.unread(id), mentions: row.unread_mentions,
      presence: other && client.people.presence(other).status, at: last && brief(last.sent_at, now), text: preview(client, row.conversation, last),
    };
  }

  #row(view) {
    const { unread, mentions } = view;
    const label = [view.name, unread && SAY.unread(unread), mentions && SAY.mentioned].filter(Boolean).join(", ");
    const button = make("button.row", { type: "button", "aria-current": view.isShown ? "true" : undefined, "aria-label": `${label}. ${view.text}`, click: () => this.told.show(view.id) },
      face(view.other ?? view.id, view.name, view.presence), make("b.name", { text: view.name, dir: "auto" }), view.at && make("time", { text: view.at }),
      view.typers.length ? make("span.preview.types", { text: SAY.types(view.typers) }) : make("span.preview", { text: view.text, dir: "auto" }),
      unread > 0 && make("span.badges", {}, mentions > 0 && make("span.at", { text: "@", title: SAY.mentioned }), make("span.unread", { text: unread, title: SAY.unread(unread) })));
    return make("li", {}, button, view.presence && said(PRESENCE[view.presence]));
  }
}

// A conversation without a name is called after the other one in it.
export function title(client, c) {
  const conversation = client.rooms.get(c)?.conversation.id ? client.rooms.get(c).conversation : client.chats.get(c)?.conversation;
  const other = client.people.other(c);
  return conversation?.name ?? (other ? client.people.name(other) : c);
}

function preview(client, { type }, last) {
  if (!last) return SAY.nothing;
  const who = last.sender === client.me ? `${SAY.you}: ` : type === "direct" ? "" : `${client.people.name(last.sender)}: `;
  return who + (last.deleted_at ? SAY.gone : last.text || last.attachments?.[0]?.name || last.type);
}
