// Chromium on a page of ours: whatever goes wrong there is noted, and whoever else is asked.
import { chromium } from "playwright-core";

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PATIENCE_MS = 30_000;

export async function visit(url, executablePath, options = {}, prepare = () => undefined) {
  const browser = await chromium.launch({ executablePath, args: ARGS });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, ...options });
  page.setDefaultTimeout(PATIENCE_MS);
  const seen = { troubles: [], elsewhere: [] };
  page.on("pageerror", (error) => seen.troubles.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && seen.troubles.push(message.text()));
  page.on("websocket", (socket) => note(seen, url, socket.url().replace(/^ws/, "http")));
  await page.route("**", (route) => (note(seen, url, route.request().url()) ? route.continue() : route.abort()));
  await prepare(page);
  await page.goto(url);
  return { browser, page, seen };
}

function note(seen, url, asked) {
  const isOurs = asked.startsWith(`${new URL(url).origin}/`) || asked.startsWith("data:");
  if (!isOurs) seen.elsewhere.push(asked);
  return isOurs;
}
