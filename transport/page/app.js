// Alice and bob, each on a connection of their own, by the protocol as it is: hello with resume, watch, send with a repeatable id.
const KEPT = 40; // lines of the wire log

class Connection {
  constructor(user, told) {
    Object.assign(this, { user, told, next: 1, waiting: new Map(), seqs: {}, pause: 250, wanted: true });
  }

  async open() {
    this.wanted = true;
    this.told.state("connecting");
    try {
      this.token ??= await fetchToken(this.user);
    } catch {
      return this.again();
    }
    const socket = (this.socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws`, "caas.v1.json"));
    socket.onmessage = ({ data }) => [JSON.parse(data)].flat().forEach((frame) => this.take(frame));
    socket.onclose = ({ code }) => socket === this.socket && this.closed(code);
    socket.onopen = () => this.greet();
  }

  async greet() {
    const resume = Object.fromEntries(Object.entries(this.seqs).map(([c, seq]) => [c, { seq, epoch: this.epoch }]));
    const hello = await this.ask("hello", { token: this.token, resume });
    this.offset = hello.server_time - Date.now();
    this.epoch = hello.me.epoch;
    this.seqs.me ??= hello.me.head;
    this.pause = 250;
    this.told.state("connected");
    await this.told.ready();
  }

  cut() {
    this.wanted = false;
    this.socket?.close();
    this.told.state("cut");
  }

  closed(code) {
    for (const { failed } of this.waiting.values()) failed({ code: "disconnected", retryable: true });
    this.waiting.clear();
    if (code === 4401 || code === 4502) this.token = undefined;
    if (!this.wanted) return this.told.state("cut");
    if (code >= 4500 && code !== 4502) return this.told.state("closed");
    this.again();
  }

  again() {
    this.told.state("waiting");
    setTimeout(() => this.wanted && this.open(), Math.random() * this.pause);
    this.pause = Math.min(this.pause * 2, 30000);
  }

  ask(m, p) {
    const i = this.next++;
    const frame = { i, m, p };
    this.told.wire("out", frame);
    return new Promise((done, failed) => {
      if (this.socket?.readyState !== WebSocket.OPEN) return failed({ code: "disconnected", retryable: true });
      this.waiting.set(i, { done, failed });
      this.socket.send(JSON.stringify(frame));
    });
  }

  take(frame) {
    this.told.wire("in", frame);
    if (frame.t === undefined) {
      const waiting = this.waiting.get(frame.i);
      this.waiting.delete(frame.i);
      return frame.e ? waiting?.failed(frame.e) : waiting?.done(frame.r);
    }
    if (frame.s !== undefined) this.seqs[frame.c] = frame.s; // only pushes move the last seq
    this.told.push(frame);
  }
}

class Person {
  constructor(user, hue) {
    const section = document.querySelector("#person").content.cloneNode(true).firstElementChild;
    document.querySelector("#people").append(section);
    const part = (name) => section.querySelector(name);
    Object.assign(this, { user, section, part, chats: new Map(), shown: undefined, unsent: [] });
    section.dataset.user = user;
    section.style.setProperty("--hue", hue);
    part("h2").textContent = part(".face").textContent = user[0].toUpperCase() + user.slice(1);
    part(".face").textContent = user[0].toUpperCase();
    part(".switch").onclick = () => (this.cut ? this.connection.open() : this.connection.cut());
    part(".composer").onsubmit = (event) => this.submit(event);
    this.connection = new Connection(user, this);
    this.connection.open();
  }

  state(state) {
    const words = { connecting: "connecting", connected: "connected", waiting: "trying again", cut: "cut off", closed: "closed by the server" };
    this.cut = state === "cut" || state === "closed";
    this.part(".state").className = `state ${state}`;
    this.part(".state").textContent = words[state];
    this.part(".switch").textContent = this.cut ? "Connect again" : "Cut the connection";
  }

  async ready() {
    if (!this.chats.size) await this.load();
    for (const message of this.unsent.slice()) await this.send(message);
  }

  async load() {
    const { items } = await this.connection.ask("conversation.list", { limit: 20 });
    const names = { direct: "Direct", group: "Group" };
    for (const { conversation } of items.reverse()) {
      const chat = { id: conversation.id, name: conversation.name ?? names[conversation.type], messages: new Map(), fresh: 0 };
      this.chats.set(chat.id, chat);
      const { head } = await this.connection.ask("conversation.watch", { c: chat.id });
      this.connection.seqs[chat.id] = head;
      const page = await this.connection.ask("message.list", { c: chat.id, limit: 50 });
      for (const message of page.items) chat.messages.set(message.id, message);
    }
    this.show([...this.chats.values()].find((chat) => chat.name === "Direct")?.id ?? items[0]?.conversation.id);
  }

  show(id) {
    this.shown = this.chats.get(id);
    if (this.shown) this.shown.fresh = 0;
    this.drawChats();
    this.draw();
  }

  push({ t, c, p }) {
    const chat = this.chats.get(c);
    if (t === "member.added" || t === "member.removed") this.note(chat, `${p.by ?? "the application"} ${t === "member.added" ? "added" : "removed"} ${p.users?.join(", ") ?? p.user}`);
    if (t !== "message.new" || !chat) return;
    chat.messages.set(p.id, p);
    this.unsent = this.unsent.filter((message) => message.id !== p.id);
    if (chat !== this.shown) chat.fresh += 1;
    this.drawChats();
    this.draw();
  }

  note(chat, text) {
    chat?.messages.set(crypto.randomUUID(), { note: text, seq: Infinity });
    this.draw();
  }

  submit(event) {
    event.preventDefault();
    const input = this.part(".composer input");
    const text = input.value.trim();
    if (!text || !this.shown) return;
    input.value = "";
    const message = { id: newId(Date.now() + (this.connection.offset ?? 0)), c: this.shown.id, text, sender: this.user, sent_at: Date.now(), waiting: true };
    const before = this.unsent.filter(({ c }) => c === message.c).at(-1);
    if (before) message.after = before.id;
    this.unsent.push(message);
    this.shown.messages.set(message.id, message);
    this.draw();
    this.send(message);
  }

  async send(message) {
    const { id, c, text, after } = message;
    try {
      const { seq, sent_at } = await this.connection.ask("message.send", { c, id, text, ...(after ? { after } : {}) });
      this.unsent = this.unsent.filter((other) => other.id !== id);
      this.chats.get(c).messages.set(id, { ...message, seq, sent_at, waiting: false });
    } catch (e) {
      if (e.retryable) return e.code === "disconnected" ? undefined : setTimeout(() => this.send(message), e.retry_after_ms ?? 500);
      this.unsent = this.unsent.filter((other) => other.id !== id);
      this.chats.get(c).messages.set(id, { ...message, waiting: false, failed: e.message });
    }
    this.draw();
  }

  drawChats() {
    this.part(".chats").replaceChildren(...[...this.chats.values()].map((chat) => {
      const tab = Object.assign(document.createElement("button"), { type: "button", textContent: chat.name, onclick: () => this.show(chat.id) });
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-selected", String(chat === this.shown));
      if (chat.fresh) tab.append(element("span", "new", chat.fresh));
      return tab;
    }));
  }

  draw() {
    const list = this.part(".messages");
    let last;
    const inOrder = [...(this.shown?.messages.values() ?? [])].sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity) || 0);
    list.replaceChildren(...inOrder.map((message) => {
      if (message.note) return element("li", "note", message.note);
      const mine = message.sender === this.user;
      const line = element("li", `${mine ? "mine" : ""} ${last === message.sender ? "" : "first"}`, "");
      if (!mine && last !== message.sender) line.append(element("span", "who", message.sender));
      last = message.sender;
      const when = new Date(message.sent_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      const tick = message.failed ? " ✕" : message.waiting ? " ◷" : mine ? " ✓" : "";
      line.append(document.createTextNode(message.text ?? ""), element("span", "when", when + tick));
      if (message.failed) line.title = message.failed;
      return line;
    }));
    list.scrollTop = list.scrollHeight;
  }

  wire(direction, frame) {
    const log = this.part(".wire ol");
    const shown = JSON.stringify(frame, (key, value) => (key === "token" ? "…" : value));
    log.append(element("li", direction, shown.length > 400 ? `${shown.slice(0, 400)}…` : shown));
    while (log.children.length > KEPT) log.firstChild.remove();
    log.scrollTop = log.scrollHeight;
  }
}

function element(name, className, text) {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

async function fetchToken(user) {
  const answer = await fetch("/dev/token", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user }) });
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  return (await answer.json()).token;
}

function newId(now) {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // UUIDv7, RFC 9562 section 5.7
  for (let at = 0; at < 6; at++) bytes[at] = Math.floor(now / 256 ** (5 - at)) % 256;
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

new Person("alice", 205);
new Person("bob", 25);
