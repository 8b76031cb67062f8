// One connection, kept up: a socket, `hello`, commands and their answers, and coming back. It knows nothing of conversations.
//
// States: disconnected, connecting, connected, reconnecting, auth_failed. Close codes from 4500 on mean: do not come back.
import { Calls, sizeOf, tooLarge } from "./calls.js";
import { heard } from "./heard.js";

const FIRST_MS = 250; // the first wait before coming back; doubled each time, and a random part of it is waited
const LAST_MS = 30_000;
const STEADY_MS = 60_000; // a connection that lasted as long begins with the first wait again
const SILENT_MS = 60_000; // `heads` come every 25 s: after so much silence the network is gone, whatever the socket says
const HELLO_MS = 10_000; // from dialling to the answer to `hello`
const CALM_MS = { 4429: 1000 }; // the least that one waits after a code
const ENVELOPE = 256; // bytes around `p` in a frame: a frame that is too large would cost the connection
const AUTH = [4502, 4503];
const TOO_LARGE = 1009;

export class Connection {
  state = "disconnected";
  #socket;
  #attempt;
  #timers = {};
  #calls;
  #pause = FIRST_MS;
  #since = 0;
  #ahead = 0;
  #largest = Infinity;
  #wasThere = false; // connected, since `connect`
  #wasExpired = false; // the last token that was tried

  // told: {state(), resume() -> what was seen, welcome(r), push(frame), wire(direction, frame, m)}
  constructor(tokens, device, told) {
    Object.assign(this, { tokens, device, told });
    this.#calls = new Calls({
      send: (frame) => this.#say(frame), answered: (frame, m) => told.wire("in", frame, m), silent: () => this.#closed(1006),
    });
  }

  connect() {
    this.#pause = FIRST_MS;
    this.#wasExpired = this.#wasThere = false;
    this.#to("connecting");
    this.#open();
  }

  disconnect() {
    this.#drop("disconnected");
  }

  // Promises the answer `r`, or refuses with `e`. `at` is called in the moment of the answer, before any push that follows it.
  ask(m, p, at) {
    if (this.state !== "connected") return Promise.reject({ code: "disconnected", retryable: true });
    const size = sizeOf(p);
    return size > this.#largest ? Promise.reject(tooLarge(size, this.#largest)) : this.#calls.make(m, p, at);
  }

  #say(frame) {
    this.told.wire("out", frame);
    this.#socket.send(JSON.stringify(frame));
  }

  async #open() {
    const attempt = (this.#attempt = {}); // whatever an earlier attempt still brings is void
    const token = await this.tokens.get().catch(() => undefined);
    if (attempt !== this.#attempt) return;
    if (!token) return this.#again();
    const socket = (this.#socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws`, "caas.v1.json"));
    socket.onopen = () => socket === this.#socket && this.#greet(token);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#read(data);
    socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code);
    this.#listen(HELLO_MS);
  }

  #greet(token) {
    const resume = this.told.resume();
    const p = { token, device: this.device, sdk: "caas-page", ...(Object.keys(resume).length ? { resume } : {}) };
    this.#calls.make("hello", p, (r) => this.#welcome(r), HELLO_MS).catch((e) => e.code === "disconnected" || this.#refused(e));
  }

  // A token that has expired is worth one more try; who may not come in does not try again.
  #refused({ code, retryable, retry_after_ms = 0 }) {
    const again = retryable || (code === "token_expired" && !this.#wasExpired);
    this.#wasExpired = code === "token_expired";
    if (!retryable) this.tokens.forget();
    this.#drop(again ? this.#coming : "auth_failed");
    if (again) this.#again(retry_after_ms);
  }

  get #coming() {
    return this.#wasThere ? "reconnecting" : "connecting";
  }

  // The server's clock, as far as it is known.
  now() {
    return Date.now() + this.#ahead;
  }

  #welcome(r) {
    if (r.user.id !== this.tokens.user) return this.#drop("disconnected"); // the token is somebody else's: what is here is not theirs
    this.#since = Date.now();
    this.#wasThere = true;
    this.#wasExpired = false;
    this.#ahead = r.server_time - Date.now();
    this.#largest = r.limits.frame - ENVELOPE;
    this.#to("connected");
    this.told.welcome(r);
    this.#refresh(this.tokens.left(this.now()));
  }

  #refresh(ms) {
    clearTimeout(this.#timers.refresh);
    this.#timers.refresh = setTimeout(async () => {
      try {
        const token = await this.tokens.renew();
        await this.ask("token.refresh", { token });
        this.#refresh(this.tokens.left(this.now()));
      } catch {
        if (this.state === "connected") this.#refresh(LAST_MS);
      }
    }, ms);
  }

  #read(data) {
    this.#listen();
    const frames = heard(data);
    if (frames) frames.forEach((frame) => this.#take(frame));
    else this.#closed(1006); // the other end is broken
  }

  #take(frame) {
    if (frame.t === undefined) return this.#calls.answered(frame);
    this.told.wire("in", frame);
    this.told.push(frame);
  }

  #listen(ms = SILENT_MS) {
    clearTimeout(this.#timers.silence);
    this.#timers.silence = setTimeout(() => this.#closed(1006), ms);
  }

  #closed(code) {
    if (code === 4401) this.tokens.forget();
    if (this.#since && Date.now() - this.#since > STEADY_MS) this.#pause = FIRST_MS;
    if (code >= 4500) return this.#drop(AUTH.includes(code) ? "auth_failed" : "disconnected");
    if (code === TOO_LARGE) this.#calls.dropLargest(this.#largest);
    this.#drop(this.#coming);
    this.#again(CALM_MS[code]);
  }

  #again(least = 0) {
    this.#timers.again = setTimeout(() => this.#open(), Math.max(least, Math.random() * this.#pause));
    this.#pause = Math.min(this.#pause * 2, LAST_MS);
  }

  #drop(state) {
    const socket = this.#socket;
    this.#socket = this.#attempt = undefined;
    this.#since = 0;
    Object.values(this.#timers).forEach(clearTimeout);
    socket?.close();
    this.#to(state);
    this.#calls.drop();
  }

  #to(state) {
    this.state = state;
    this.told.state(state);
  }
}
