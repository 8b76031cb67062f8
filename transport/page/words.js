// Every word that the page says, and every sign it shows: change them here.
export const EMOJIS = ["👍", "❤️", "😂", "🎉", "😮", "🙏"];

export const PEOPLE = { alice: "Alice", bob: "Bob", carol: "Carol" };

export const STATES = {
  connecting: "connecting",
  connected: "connected",
  reconnecting: "connection lost, trying again",
  disconnected: "offline",
  auth_failed: "signed out",
};

export const STATUSES = { online: "Online", away: "Away", dnd: "Do not disturb", invisible: "Invisible" };

export const PRESENCE = { online: "online", away: "away", dnd: "do not disturb", offline: "offline", invisible: "invisible", unknown: "" };

export const TICKS = { sending: "waits to be sent", sent: "sent", delivered: "delivered", read: "read", failed: "not sent" };

export const SAY = {
  phoneOf: (name) => `${name}'s phone`,
  whose: "Whose phone",
  statusOf: (name) => `${name}'s status`,
  another: "Another user…",
  cut: "Cut the network",
  uncut: "Connect again",
  waits: (count) => (count ? `Offline. ${many(count, "message waits", "messages wait")}.` : "Offline. What you write will wait."),
  retrying: (count) => (count ? `Trying to come back. ${many(count, "message waits", "messages wait")}.` : "Trying to come back."),
  signedOut: "The server no longer knows this session.",
  conversations: "Conversations",
  begin: "New conversation",
  nothing: "Nothing said yet",
  gone: "Message deleted",
  you: "You",
  unread: (count) => many(count, "unread message", "unread messages"),
  mentioned: "you were mentioned",
  messagesIn: (name) => `Messages in ${name}`,
  members: (count, here) => `${many(count, "member", "members")}${here ? `, ${here} here` : ""}`,
  lastSeen: (when) => `last seen ${when}`,
  types: (names) => (names.length > 2 ? `${names[0]}, ${names[1]} and ${names.length - 2} more type` : names.join(" and ") + (names.length > 1 ? " type" : " types")),
  pinned: "Pinned",
  edited: "edited",
  news: "New",
  point: (count, name) => `${many(count, "new message", "new messages")}: ${name} reads when you point here`,
  down: "To the latest message",
  earlier: "Earlier messages",
  unknownReply: "an earlier message",
  replies: (count) => many(count, "reply in a thread", "replies in a thread"),
  file: "file",
  readBy: (names) => (names.length ? `read by ${names.join(", ")}` : ""),
  reaction: (emoji, names, count) => `${emoji} ${count}: ${names.join(", ")}${count > names.length ? " and others" : ""}`,
  reactWith: (emoji) => `React with ${emoji}`,
  more: "More",
  actions: "What to do with this message",
  options: "What to do with this conversation",
  write: "Write a message",
  message: "Message",
  send: "Send",
  save: "Save",
  cancel: "Cancel",
  replyTo: (name) => `Reply to ${name}`,
  editing: "Edit your message",
  frozen: "Frozen: nobody can write here now",
  readOnly: "You can only read here",
  youBlocked: (name) => `You have blocked ${name}`,
  left: "You are no longer here",
  reply: "Reply",
  edit: "Edit",
  copy: "Copy",
  copied: "Copied",
  pin: "Pin",
  unpin: "Unpin",
  earlierTexts: "Earlier texts",
  deleteForAll: "Delete for everyone",
  deleteForMe: "Delete for me",
  tryAgain: "Try again",
  discard: "Discard",
  rename: "Rename",
  add: "Add somebody",
  freeze: "Freeze",
  unfreeze: "Unfreeze",
  leave: "Leave",
  block: (name) => `Block ${name}`,
  unblock: (name) => `Unblock ${name}`,
  deleteConversation: "Delete conversation",
  askUser: "The id of a user; a new one is created",
  askUsers: "With whom? Ids, with commas between",
  askName: "Name (for a group)",
  askNewName: "Name",
  askWho: "The id of a user",
  go: "Go",
  tooLarge: (size, most) => `This is ${size} bytes long; ${most} can be sent at once.`,
  onSide: (name, side) => `${name}, ${side}`,
  wireOf: "The wire of",
  repliesTo: (m) => `answer to ${m}`,
  refusal: (m) => `refusal of ${m}`,
  today: "Today",
  yesterday: "Yesterday",
  justNow: "just now",
};

// What happened besides messages, in words.
export const NOTES = {
  "conversation.created": ({ by }, name) => `${name(by)} began the conversation`,
  "conversation.updated": ({ by, ...p }, name) => ("name" in p && p.name ? `${name(by)} named it “${p.name}”` : `${name(by)} changed the description`),
  "conversation.frozen": ({ by, frozen }, name) => `${name(by)} ${frozen ? "froze" : "unfroze"} the conversation`,
  "member.added": ({ by, users }, name) => (users.includes(by) ? `${name(by)} came` : `${name(by)} added ${users.map(name).join(", ")}`),
  "member.removed": ({ by, user }, name) => (user === by ? `${name(user)} left` : `${name(by)} removed ${name(user)}`),
  "member.updated": ({ by, user, role }, name) => `${name(by)} made ${name(user)} ${role}`,
};

export const SOMEBODY = "The application";

export const TRIES = {
  say: "Send a message as Carol",
  react: "React to the latest message in the lobby",
  create: "Create a user, then choose “Another user…” in a phone",
};

export function many(count, one, more) {
  return `${count} ${count === 1 ? one : more}`;
}
