// The list of conversations, as `conversation.list` tells it and pushes move it on: last message, unread, mentions.
export class Chats {
  #rows = new Map();

  constructor(me) {
    this.me = me;
  }

  // Latest activity first.
  get rows() {
    return [...this.#rows.values()].sort((a, b) => when(b) - when(a));
  }

  get(c) {
    return this.#rows.get(c);
  }

  load(items) {
    this.#rows = new Map(items.map((row) => [row.conversation.id, forward(row, this.get(row.conversation.id))]));
  }

  // The latest `n`, less the larger of what one has read and what one has written oneself.
  unread(c) {
    const { last_n = 0, read_n = 0, own_n = 0 } = this.get(c) ?? {};
    return Math.max(0, last_n - Math.max(read_n, own_n));
  }

  // A push of a conversation that is watched.
  apply({ t, c, p, at }) {
    const row = this.get(c);
    if (!row) return;
    if (t === "message.new" && p.n) this.#arrived(row, p);
    if (t === "message.updated" && row.last_message?.id === p.id) row.last_message = { ...row.last_message, ...p };
    if (t === "message.deleted" && row.last_message?.id === p.id) row.last_message = { ...row.last_message, text: undefined, deleted_at: at };
    if (t === "conversation.updated") row.conversation = { ...row.conversation, ...p };
    if (t === "conversation.frozen") row.conversation = { ...row.conversation, frozen: p.frozen };
  }

  #arrived(row, message) {
    if (message.n <= (row.last_n ?? 0) && row.last_message) return;
    Object.assign(row, { last_n: message.n, last_message: message });
    if (message.sender === this.me) row.own_n = message.n;
    else if (message.seq <= (row.read_seq ?? 0)) row.read_n = message.n; // read on another device, which was told first
    else if (message.mention_all || message.mentions?.includes(this.me)) row.unread_mentions = (row.unread_mentions ?? 0) + 1;
  }

  // Something new in a conversation that is not watched: how many, not what.
  noticed(c, { n, sender }, now) {
    const row = this.get(c);
    if (!row) return;
    row.last_n = Math.max(row.last_n ?? 0, n);
    row.noticed_at = now;
    if (sender === this.me) row.own_n = row.last_n;
  }

  // One has read up to a seq, here or on another device. Whether the list has to be asked for, because only the server knows what `n` that is.
  read(c, seq) {
    const row = this.get(c);
    if (!row || seq < (row.read_seq ?? 0)) return false;
    row.read_seq = seq;
    if (seq < (row.last_message?.seq ?? 0)) return true;
    Object.assign(row, { read_n: row.last_n, unread_mentions: 0 });
    return false;
  }

  forget(c) {
    this.#rows.delete(c);
  }
}

// The list is read from storage, which may lag behind what pushes told, and behind what was just read here.
function forward(row, old) {
  if (old?.last_n > (row.last_n ?? 0)) Object.assign(row, { last_n: old.last_n, last_message: old.last_message, own_n: Math.max(old.own_n ?? 0, row.own_n ?? 0) });
  const ahead = (old?.read_seq ?? 0) - (row.read_seq ?? 0);
  if (!old || ahead < 0) return row;
  const mentions = Math.max(old.unread_mentions ?? 0, ahead ? 0 : (row.unread_mentions ?? 0));
  return { ...row, read_seq: old.read_seq, read_n: Math.max(old.read_n ?? 0, row.read_n ?? 0), unread_mentions: mentions };
}

function when({ last_message, conversation, noticed_at = 0 }) {
  return Math.max(noticed_at, last_message?.sent_at ?? conversation.created_at);
}
