// What one can do to a message, and the menu that offers it.
import { tell } from "./asking.js";
import { openMenu } from "./menu.js";
import { SAY } from "./words.js";

export function talkDeeds(phone) {
  const react = ({ id }, emoji, add) => phone.client.act(add ? "reaction.add" : "reaction.remove", { c: phone.shown, id, emoji });
  const menu = (message, anchor) => show(phone, message, anchor, react);
  return {
    react, menu,
    menuOf: (id, anchor) => {
      const message = phone.client.rooms.get(phone.shown)?.list.get(id);
      if (message && !message.deleted_at) menu(message, anchor);
    },
    goTo: (id) => phone.talk.goTo(id),
    retry: (id) => phone.client.outbox.retry(id)?.catch(() => undefined), // the message shows it
    discard: (id) => phone.client.outbox.discard(id),
  };
}

function show(phone, message, anchor, react) {
  const { client, shown: c } = phone;
  const room = client.rooms.get(c);
  const { id, sender, text } = message;
  const isMine = sender === client.me;
  const may = (what) => room.can(`${what}_any`) || (isMine && room.can(`${what}_own`));
  const frozen = room.conversation.frozen;
  openMenu(anchor, SAY.actions, [
    room.can("send") && !frozen && { label: SAY.reply, act: () => phone.composer.about({ reply: message }, client.people.name(sender)) },
    may("edit") && !frozen && { label: SAY.edit, act: () => phone.composer.about({ edit: message }) },
    text && { label: SAY.copy, act: () => navigator.clipboard?.writeText(text).catch(() => undefined) },
    room.can("pin") && { label: message.pinned ? SAY.unpin : SAY.pin, act: () => client.act(message.pinned ? "message.unpin" : "message.pin", { c, id }) },
    message.edited_at && { label: SAY.earlierTexts, act: async () => tell(SAY.earlierTexts, (await client.history(c, id)).map((edit) => edit.text ?? "")) },
    { label: SAY.deleteForMe, act: () => client.hide(c, id), isDanger: true },
    may("delete") && { label: SAY.deleteForAll, act: () => client.act("message.delete", { c, id, for: "all" }), isDanger: true },
  ].filter(Boolean), room.can("react") && !frozen && { chosen: (emoji) => react(message, emoji, true) });
}
