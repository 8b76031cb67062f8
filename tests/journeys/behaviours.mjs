// Plays the cases of protocol/vectors/behaviours against the client of the page: its clock, chance, socket and tokens are in our hands.
//
//   node behaviours.mjs <folder with the page's modules> <folder with the cases> [<files of cases>...]
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, cases, ...files] = process.argv.slice(2);
const START_MS = 1_700_000_000_000;
const BY_ITSELF = new Set(["message.list", "conversation.list", "member.list", "user.blocks", "presence.watch"]); // what the page asks for unbidden

// A clock that stands still until it is moved.
const clock = { now: 0, wall: START_MS, timers: new Map(), next: 1 };
const realTurn = setImmediate;
globalThis.setTimeout = (act, ms = 0) => clock.timers.set(clock.next, { at: clock.now + ms, act }) && clock.next++;
globalThis.clearTimeout = (timer) => clock.timers.delete(timer);
Date.now = () => clock.wall + Math.round(clock.now);
globalThis.location = { protocol: "http:", host: "here" };
globalThis.WebSocket = class {
  constructor() {
    Runner.of.dialled = this;
  }

  send(data) {
    Runner.of.sent(JSON.parse(data));
  }

  close() {
    Runner.of.hungUp = true;
  }
};
globalThis.fetch = () => new Promise((done) => (Runner.of.giveToken = done));
const { Client } = await import(pathToFileURL(`${modules}/client.js`));

Object.defineProperty(globalThis, "crypto", { value: { getRandomValues: (bytes) => bytes.fill(0, 0, 15).fill(++Runner.of.drawn, 15) } });

const turn = async () => {
  for (let at = 0; at < 4; at++) await new Promise((done) => realTurn(done));
};

class Runner {
  static of;

  constructor({ user = "alice", chance = 0.5, wall_ms = START_MS }) {
    Runner.of = this;
    Object.assign(clock, { now: 0, wall: wall_ms, timers: new Map() });
    Math.random = () => chance;
    Object.assign(this, { user, unanswered: [], frames: [], acked: {}, calls: {}, hungUp: false, drawn: 0 });
    this.client = new Client(user, { id: "d", platform: "web" }, { changed: () => undefined, wire: () => undefined, trouble: () => undefined });
  }

  sent(frame) {
    this.unanswered.push(frame);
    if (frame.m === "message.delivered") (this.acked[frame.p.c] ??= []).push(frame.p.seq);
    else if (!BY_ITSELF.has(frame.m)) this.frames.push(frame);
  }

  async play(steps) {
    for (const [place, step] of steps.entries()) {
      this.awaited = new Set(steps.slice(place).map(({ reply }) => reply?.m));
      for (const [verb, given] of Object.entries(step)) {
        if (["as", "r", "e"].includes(verb)) continue;
        try {
          await VERBS[verb](this, given, step);
          await turn();
        } catch (e) {
          throw new Error(`step ${place} ${verb}: ${e.message}`);
        }
      }
    }
  }

  // Time passes. What the page asked for unbidden is answered by then, unless the case does.
  async until(ms) {
    for (let one; (one = this.unanswered.find(({ m }) => BY_ITSELF.has(m) && !this.awaited.has(m))); await turn()) this.answer(one, { r: { items: [] } });
    for (;;) {
      const due = [...clock.timers].filter(([, { at }]) => at <= ms).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      clock.timers.delete(due[0]);
      clock.now = Math.max(clock.now, due[1].at);
      due[1].act();
      await turn();
    }
    clock.now = ms;
  }

  answer(wanted, outcome) {
    const at = this.unanswered.findIndex(({ m, p }) => m === wanted.m && Object.entries(wanted.p ?? {}).every(([key, value]) => p[key] === value));
    if (at < 0) fail(`nothing like ${wanted.m} is unanswered, only ${this.unanswered.map(({ m }) => m)}`);
    const [{ i }] = this.unanswered.splice(at, 1);
    this.receive({ i, ...outcome });
  }

  receive(frames) {
    this.dialled.onmessage({ data: JSON.stringify(frames) });
  }

  call(name, promise) {
    const call = (this.calls[name] = { state: "pending" });
    promise?.then((r) => Object.assign(call, { state: "done", r }), (e) => Object.assign(call, { state: "failed", e }));
  }
}

const VERBS = {
  at: (run, s) => run.until(s * 1000),
  connect: (run) => run.client.connection.connect(),
  disconnect: (run) => run.client.connection.disconnect(),
  token(run, token) {
    if (!run.giveToken) fail("no token was asked for");
    run.giveToken({ ok: true, json: async () => ({ token, expires_at: Date.now() + 900_000 }) });
    run.giveToken = undefined;
  },
  open(run) {
    run.unanswered = [];
    run.hungUp = false;
    run.dialled.onopen();
  },
  close: (run, code) => run.dialled.onclose({ code: code ?? 1006 }),
  hello: (run, given) => run.answer({ m: "hello" }, { r: {
    protocol: "caas.v1", session: "s", user: { id: run.user }, server_time: START_MS + Math.round(clock.now), heartbeat_s: 15, limits: { frame: 65_536 },
    me: { head: 0, epoch: 1, read: {}, delivered: {} }, conversations: {}, ...given,
  } }),
  async up(run, given) {
    VERBS.connect(run);
    await turn();
    VERBS.token(run, "t");
    await turn();
    VERBS.open(run);
    VERBS.hello(run, given);
    await turn();
    run.frames = [];
  },
  async back(run, given) {
    const dialled = run.dialled;
    for (let s = 0; run.dialled === dialled && s < 40; s++) await run.until(clock.now + 1000);
    VERBS.open(run);
    VERBS.hello(run, given);
  },
  reply: (run, wanted, { r, e }) => run.answer(wanted, e ? { e } : { r }),
  push: (run, frames) => run.receive(frames),
  raw: (run, { json }) => run.dialled.onmessage({ data: json }),
  do(run, { m, p = {} }, { as }) {
    const { c, ...fields } = p;
    const { client } = run;
    const DEEDS = {
      "conversation.watch": () => client.open(c).then(() => client.rooms.get(c).error && Promise.reject({ code: client.rooms.get(c).error })),
      "message.send": () => client.send(c, fields),
      "message.list": () => (fields.before === undefined ? undefined : client.upkeep.page(client.rooms.get(c), fields)),
      "conversation.list": () => undefined,
      retry: () => client.outbox.retry(p.id),
      discard: () => client.outbox.discard(p.id),
      key: () => client.typed(c, "x"),
      stop_typing: () => client.keys.stop(),
      mark_read: () => client.read(c),
    };
    run.call(as, (DEEDS[m] ?? (() => client.act(m, p)))());
  },
  frames(run, wanted) {
    const got = byName(run.frames);
    run.frames = [];
    wanted = byName(wanted.filter(({ m }) => !BY_ITSELF.has(m)));
    same(got.map(({ m }) => m), wanted.map(({ m }) => m));
    got.forEach(({ p }, at) => match(p, wanted[at].p ?? {}, wanted[at].m));
  },
  acks(run, wanted) {
    same(run.acked, wanted);
    run.acked = {};
  },
  expect: (run, wanted) => Object.entries(wanted).forEach(([about, what]) => EXPECT[about](run, what)),
};

const EXPECT = {
  state: ({ client }, wanted) => same(client.connection.state, wanted),
  list({ client }, wanted) {
    for (const [c, items] of Object.entries(wanted)) {
      const room = client.rooms.get(c);
      const placed = room.list.items.filter(({ id }) => id).map((message) => ({ ...message, status: room.status(message) }));
      const unsent = client.outbox.of(c).map(({ p, state }) => ({ ...p, sender: client.me, status: state === "failed" ? "failed" : "sending" }));
      const got = [...placed, ...unsent];
      same(got.map(({ id }) => id), items.map(({ id }, at) => id ?? got[at]?.id));
      got.forEach((message, at) => match(message, items[at], message.id));
    }
  },
  outbox({ client }, wanted) {
    for (const [c, items] of Object.entries(wanted)) {
      same(client.outbox.of(c).map(({ p, state }) => ({ id: p.id, status: state === "failed" ? "failed" : "sending" })), items);
    }
  },
  rooms({ client }, wanted) {
    for (const [c, what] of Object.entries(wanted)) {
      const { state, error, role, capabilities, conversation, stream } = client.rooms.get(c);
      match({ state, error, role, capabilities: [...capabilities].sort(), conversation, seq: stream.seq }, what, c);
    }
  },
  conversations({ client }, wanted) {
    const got = client.chats.rows.map(({ conversation, unread_mentions }) => ({ ...conversation, unread: client.chats.unread(conversation.id), unread_mentions }));
    same(got.map(({ id }) => id), wanted.map(({ id }) => id));
    got.forEach((row, at) => match(row, wanted[at], row.id));
  },
  typing: ({ client }, wanted) => Object.entries(wanted).forEach(([c, users]) => same(client.rooms.get(c).typers(client.now()), users)),
  presence: ({ client }, wanted) => Object.entries(wanted).forEach(([user, what]) => match(client.people.presence(user), what, user)),
  blocked: ({ client }, wanted) => same([...client.people.blocked].sort(), wanted),
  outcome({ calls }, wanted) {
    for (const [name, what] of Object.entries(wanted)) {
      if (what === "pending") same(calls[name].state, "pending");
      else if (what.error) same(calls[name].e?.code, what.error);
      else match(calls[name].r, what, name);
    }
  },
  hung_up: ({ hungUp }, wanted) => same(hungUp, wanted),
  asks_token: ({ giveToken }, wanted) => same(Boolean(giveToken), wanted),
  next_try_s(run, wanted) {
    const due = Math.min(...[...clock.timers.values()].map(({ at }) => at)) - clock.now;
    same(due / 1000, wanted);
  },
  events: () => undefined, // the page is told only that something changed
};

function byName(frames) {
  return [...frames].sort((a, b) => (a.m < b.m ? -1 : a.m > b.m ? 1 : 0));
}

function match(got, wanted, where) {
  for (const [key, value] of Object.entries(wanted)) {
    if (value === null && (got?.[key] ?? undefined) !== undefined) fail(`${where}.${key}: ${JSON.stringify(got[key])} should not be there`);
    else if (value && typeof value === "object" && !Array.isArray(value) && got?.[key]) match(got[key], value, `${where}.${key}`);
    else if (value !== null) same(got?.[key], value, `${where}.${key}`);
  }
}

function same(got, wanted, where = "") {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) fail(`${where} ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}

function fail(why) {
  throw new Error(why);
}

// Where the page is another kind of client than an SDK: it is held to this, too.
const ELSEWISE = {
  "connecting: all tries used up": "it tries for ever",
  "connecting: logout": "whoever cuts its network wants to see what waits",
  "sending: ids by the server's clock": "there is nowhere to write before it is connected",
  "sending: the specification's names": "it says what is on the wire",
  "sending: too large for a frame": "what is too long stands there as failed",
  "resuming: no longer watched": "it goes on watching what was once opened",
  "list: a page that was asked for before the watch": "it asks for none before it watches",
  "status: what happened while away": "it asks at once, and 43 s are too long for an answer",
  "status: reading": "it reads what it shows, and here it shows nothing",
  "status: unread": "what happens in one millisecond stands in no order",
  "status: mentions": "it asks the server how often",
  "typing: in a thread": "it has no threads",
  "typing: presence": "it watches everybody it knows",
};

const outcome = { passed: 0, failed: {}, elsewise: [] };
for (const file of files.length ? files : ["connecting", "list", "sending", "resuming", "status", "typing"]) {
  for (const one of JSON.parse(readFileSync(`${cases}/${file}.json`, "utf8"))) {
    const name = `${file}: ${one.name}`;
    try {
      await new Runner(one).play(one.steps);
      outcome.passed += 1;
      if (ELSEWISE[name]) outcome.failed[name] = "it does not differ here any more";
    } catch (e) {
      if (ELSEWISE[name]) outcome.elsewise.push(name);
      else outcome.failed[name] = e.message;
    }
  }
}
console.log(JSON.stringify(outcome));
process.exit();
