// Above the messages: with whom, whether they are there or type, what is pinned, and what one may do with the conversation.
import { askFor } from "./asking.js";
import { face, icon, make } from "./dom.js";
import { openMenu } from "./menu.js";
import { title } from "./rows.js";
import { ago } from "./times.js";
import { PRESENCE, SAY } from "./words.js";

const HERE = new Set(["online", "away", "dnd"]);

export class Head {
  constructor(phone) {
    this.phone = phone;
    this.face = make("span.faces");
    this.name = make("h3", { dir: "auto" });
    this.below = make("p.below");
    this.pinned = make("button.pinned", { type: "button", hidden: true });
    this.more = make("button.round.options", { type: "button", title: SAY.options, "aria-label": SAY.options, "aria-haspopup": "menu", click: () => this.#menu() }, icon("more", "dots"));
    this.node = make("div.head", {}, this.face, make("div.with", {}, this.name, this.below), this.more, this.pinned);
  }

  // The name of the conversation.
  draw(client, c, now) {
    const room = client.rooms.get(c);
    if (!room) return "";
    const name = title(client, c);
    const other = room.conversation.type === "direct" ? client.people.other(c) : undefined;
    const presence = other ? client.people.presence(other) : undefined;
    const typers = room.typers(now).map((user) => client.people.name(user));
    const below = typers.length ? SAY.types(typers) : presence ? seen(presence, now) : crowd(client, c, room.conversation);
    const pinned = room.list.items.filter((item) => item.pinned).at(-1);
    const sign = JSON.stringify([c, name, other, presence?.status, below, typers.length, pinned?.id, pinned?.text]);
    if (this.sign === sign) return name;
    this.sign = sign;
    this.face.replaceChildren(face(other ?? c, name, presence?.status));
    this.name.textContent = name;
    this.below.textContent = below;
    this.below.classList.toggle("types", typers.length > 0);
    this.pinned.hidden = !pinned;
    this.pinned.replaceChildren(icon("pin"), make("span", { text: pinned?.text ?? pinned?.type ?? "", dir: "auto" }));
    this.pinned.setAttribute("aria-label", `${SAY.pinned}: ${pinned?.text ?? ""}`);
    this.pinned.onclick = () => this.phone.talk.goTo(pinned.id);
    return name;
  }

  #menu() {
    const { client, shown: c } = this.phone;
    const room = client.rooms.get(c);
    const other = room?.conversation.type === "direct" ? client.people.other(c) : undefined;
    if (!room) return;
    const isBlocked = client.people.blocked.has(other);
    const { frozen } = room.conversation;
    openMenu(this.more, SAY.options, [
      other && { label: isBlocked ? SAY.unblock(client.people.name(other)) : SAY.block(client.people.name(other)), act: () => client.block(other, !isBlocked), isDanger: !isBlocked },
      room.can("update") && !other && { label: SAY.rename, act: () => this.#rename(room) },
      room.can("add_members") && { label: SAY.add, act: () => this.#add(c) },
      room.can("freeze") && { label: frozen ? SAY.unfreeze : SAY.freeze, act: () => client.act("conversation.freeze", { c, frozen: !frozen }) },
      !other && { label: SAY.leave, act: () => client.act("conversation.leave", { c }), isDanger: true },
      room.can("delete") && !other && { label: SAY.deleteConversation, act: () => client.act("conversation.delete", { c }), isDanger: true },
    ].filter(Boolean));
  }

  async #rename({ id, conversation }) {
    const said = await askFor(SAY.rename, [{ name: "name", label: SAY.askNewName, value: conversation.name, isRequired: true }]);
    if (said) this.phone.client.act("conversation.update", { c: id, name: said.name });
  }

  async #add(c) {
    const said = await askFor(SAY.add, [{ name: "user", label: SAY.askWho, isRequired: true }]);
    if (said) this.phone.client.act("member.add", { c, users: [said.user] });
  }
}

function seen({ status, text, last_seen_at }, now) {
  if (status === "offline" && last_seen_at) return SAY.lastSeen(ago(last_seen_at, now));
  return [PRESENCE[status], text].filter(Boolean).join(": ");
}

function crowd(client, c, { member_count }) {
  const members = client.people.members(c);
  const here = members.filter(({ user }) => HERE.has(client.people.presence(user.id).status)).length;
  return SAY.members(members.length || member_count || 0, here);
}
