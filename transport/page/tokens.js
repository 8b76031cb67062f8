// Tokens for one user. A real application asks its own backend, which knows who somebody is; `caas dev` gives them to whoever asks.
const EARLY_MS = 60_000; // so long before a token ends there is a fresh one

export class Tokens {
  #made; // {token, refresh_token, expires_at} as the server made them

  constructor(user) {
    this.user = user;
  }

  async get() {
    if (!this.#made) await this.renew();
    return this.#made.token;
  }

  // Milliseconds until there should be a fresh one; `now` as the server's clock shows it.
  left(now) {
    return Math.max(1000, this.#made.expires_at - now - EARLY_MS);
  }

  async renew() {
    const spare = this.#made?.refresh_token;
    this.#made = undefined;
    const refreshed = spare && (await post("/api/v1/sessions/refresh", { refresh_token: spare }).catch(() => undefined));
    this.#made = refreshed ?? (await post("/dev/token", { user: this.user }));
    return this.#made.token;
  }

  forget() {
    this.#made = undefined;
  }
}

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}
