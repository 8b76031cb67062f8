// One message as people see it, and the other lines between messages.
import { face, icon, make, said, tinted } from "./dom.js";
import { clock } from "./times.js";
import { EMOJIS, NOTES, SAY, SOMEBODY, TICKS } from "./words.js";

const FAST = EMOJIS.slice(0, 3);
const ONLY_EMOJI = /^(\p{Extended_Pictographic}\uFE0F?(\u200D\p{Extended_Pictographic}\uFE0F?)*\s*){1,3}$/u;
const RIGHT_TO_LEFT = /^\P{L}*[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u; // by the first letter

// view: {message, status, isMine, isFirst, isGroup, name(user), quoted, readers, replies, error}; told: what was done to it
export function bubble(view, told) {
  const { message, isMine, isFirst, isGroup, name } = view;
  const node = make("li.message", { tabindex: -1, "data-id": message.id, "data-status": view.status });
  if (isMine) node.classList.add("mine");
  if (isFirst) node.classList.add("first");
  if (message.deleted_at) node.classList.add("gone");
  if (isGroup && !isMine) node.append(isFirst ? face(message.sender, name(message.sender)) : make("span.face.none"));
  node.append(make("div.stack", {}, body(view, told), reactions(view, told), failure(view, told)));
  return node;
}

function body(view, told) {
  const { message, isMine, isFirst, isGroup, name } = view;
  const node = make("div.bubble", { dir: RIGHT_TO_LEFT.test(message.text ?? "") ? "rtl" : "ltr" });
  if (isGroup && isFirst && !isMine) node.append(tinted(make("span.sender", { text: name(message.sender) }), message.sender));
  else node.append(said(`${isMine ? SAY.you : name(message.sender)}: `));
  if (message.reply_to && !message.deleted_at) node.append(quote(view, told));
  node.append(...(message.deleted_at ? [make("span.text", { text: SAY.gone })] : [...attachments(message), text(message)]), footer(view));
  if (!message.deleted_at && message.seq) node.append(fast(view, told));
  return node;
}

function text({ text = "", mentions = [], type, attachments }) {
  const node = make("span.text");
  if (ONLY_EMOJI.test(text)) node.classList.add("large");
  const parts = mentions.length ? text.split(new RegExp(`(@(?:${mentions.map(escaped).join("|")}))(?![\\w.-])`, "iu")) : [text];
  node.append(...parts.map((part, at) => (at % 2 ? make("b.mention", { text: part }) : part)));
  if (type !== "text" && !attachments?.length) node.prepend(make("span.type", { text: type }));
  return node;
}

function escaped(user) {
  return user.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function attachments({ attachments = [] }) {
  return attachments.map(({ name, kind, size }) =>
    make("span.attachment", {}, icon("file"), make("span", { text: name ?? kind ?? SAY.file }), size && make("small", { text: `${Math.ceil(size / 1024)} KB` })));
}

function quote({ message, quoted, name }, told) {
  const words = quoted ? (quoted.deleted_at ? SAY.gone : (quoted.text ?? quoted.type)) : SAY.unknownReply;
  return make("button.quote", { type: "button", tabindex: -1, dir: "auto", click: () => told.goTo(message.reply_to) },
    quoted && make("b", { text: name(quoted.sender) }), make("span", { text: words }));
}

function footer({ message, status, isMine, readers, replies, name }) {
  const node = make("span.meta");
  if (replies) node.append(make("span", { text: SAY.replies(replies) }));
  if (message.pinned) node.append(icon("pin", "small"), said(SAY.pinned));
  if (message.edited_at && !message.deleted_at) node.append(make("span.edited", { text: SAY.edited }));
  node.append(make("time", { datetime: new Date(message.sent_at).toISOString(), text: clock(message.sent_at) }));
  if (isMine && !message.deleted_at) node.append(ticks(status, SAY.readBy(readers.map(name))));
  return node;
}

function ticks(status, title) {
  const sign = { sending: "clock", sent: "sent", failed: "failed" }[status] ?? "delivered";
  return make(`span.ticks.${status}`, { title: title || TICKS[status] }, icon(sign), said(title || TICKS[status]));
}

function reactions({ message, isMine, name, me }, told) {
  const all = Object.entries(message.reactions ?? {});
  return all.length > 0 && make("div.reactions", {}, ...all.map(([emoji, { count, users, own }]) => {
    const isOwn = own ?? users.includes(me);
    const label = SAY.reaction(emoji, users.map(name), count);
    return make("button.pill", { type: "button", title: label, "aria-label": label, "aria-pressed": String(isOwn), click: () => told.react(message, emoji, !isOwn) },
      make("span", { text: emoji }), make("b", { text: count }));
  }));
}

// What shows when one points at it; by keyboard the same is in the menu.
function fast({ message }, told) {
  return make("span.fast", { "aria-hidden": "true" },
    ...FAST.map((emoji) => make("button", { type: "button", tabindex: -1, title: SAY.reactWith(emoji), text: emoji, click: () => told.react(message, emoji, true) })),
    make("button.dots", { type: "button", tabindex: -1, title: SAY.more, click: (event) => told.menu(message, event.currentTarget) }, icon("more", "dots")));
}

function failure({ message, status, error }, told) {
  return status === "failed" && make("div.failure", { role: "alert" }, make("span", { text: error }),
    make("button", { type: "button", text: SAY.tryAgain, click: () => told.retry(message.id) }),
    make("button", { type: "button", text: SAY.discard, click: () => told.discard(message.id) }));
}

export function note({ t, p }, name) {
  return make("li.note", { text: NOTES[t](p, (user) => (user ? name(user) : SOMEBODY)) });
}

export function divider(text, what) {
  return make(`li.divider.${what}`, { role: "separator" }, make("span", { text }));
}

export function typing(names) {
  const dots = make("span.dots", { "aria-hidden": "true" }, make("i"), make("i"), make("i"));
  return make("li.message.typing", {}, make("div.bubble", {}, dots, make("span.text", { text: SAY.types(names) })));
}
