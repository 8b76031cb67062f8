// The page by keyboard alone: no pointer is ever used here.
import { visit } from "./browser.mjs";

const [base, executablePath, picture] = process.argv.slice(2);
const { browser, page, seen } = await visit(`${base}/`, executablePath);
const alice = page.locator('.phone[data-side="left"]');
const bob = page.locator('.phone[data-side="right"]');
const message = (who, text) => who.locator(".message[data-id]").filter({ has: page.locator(".bubble > .text", { hasText: text }) });
const press = async (...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};
const isFocused = (locator) => locator.evaluate((node) => node === document.activeElement);

// It is drawn anew for each tick and reaction, and has the focus again after that.
async function becomesFocused(locator) {
  for (let times = 0; times < 40; times++) {
    if (await isFocused(locator)) return true;
    await page.waitForTimeout(50);
  }
  return false;
}

// Presses a key until something has the focus; how often.
async function reach(locator, key = "Tab", most = 60) {
  for (let times = 0; times < most; times++) {
    if (await isFocused(locator)) return times;
    await press(key);
  }
  throw new Error(`${key} does not lead to ${locator}`);
}

for (const who of [alice, bob]) await who.locator(".state.connected").waitFor();
await message(alice, "This is a direct conversation").first().waitFor();

// To the composer, and a message.
const box = alice.locator("textarea");
await reach(box);
await page.keyboard.type("By hand, without a mouse");
await press("Enter");
await message(bob, "By hand, without a mouse").waitFor();

// One's last message is edited with an arrow; Escape thinks better of it.
await press("ArrowUp");
await alice.locator(".about", { hasText: "Edit" }).waitFor();
await press("Escape");
await alice.locator(".about").waitFor({ state: "hidden" });
await press("ArrowUp");
await page.keyboard.type("!");
await press("Enter");
await message(bob, "By hand, without a mouse!").locator(".edited").waitFor();

// Among the messages by arrows; the menu of one, and back to it.
await reach(message(alice, "By hand"), "Shift+Tab");
await press("ArrowUp", "ArrowDown", "Enter", "ArrowRight", "ArrowRight", "ArrowRight", "Enter");
await message(bob, "By hand").locator(".pill", { hasText: "🎉" }).waitFor();
await message(alice, "By hand").locator(".pill").waitFor();
const isBack = await becomesFocused(message(alice, "By hand"));
await press("Enter");
await page.getByRole("menu").waitFor();
if (picture) await page.screenshot({ path: picture });

// Drawn anew while the menu is open, for somebody reacts: Escape still leads back to it.
const asBob = { headers: { Authorization: "Bearer caas_sk_dev", "CAAS-User": "bob" } };
const { items } = await (await fetch(`${base}/api/v1/conversations`, asBob)).json();
const { conversation } = items.find(({ last_message }) => last_message?.text === "By hand, without a mouse!");
const id = await message(alice, "By hand").getAttribute("data-id");
await fetch(`${base}/api/v1/conversations/${conversation.id}/messages/${id}/reactions/${encodeURIComponent("👍")}`, { method: "PUT", ...asBob });
await message(alice, "By hand").locator(".pill", { hasText: "👍" }).waitFor();
await press("Escape");
await page.getByRole("menu").waitFor({ state: "detached" });
const isStillBack = await becomesFocused(message(alice, "By hand"));

// Another conversation, and what may be done with it.
const lobby = alice.locator(".row").filter({ has: page.locator(".name", { hasText: "Lobby" }) });
await reach(lobby, "Shift+Tab");
await press("Enter");
await alice.locator(".head h3", { hasText: "Lobby" }).waitFor();
await alice.locator(".message[data-id]").first().waitFor();
await reach(alice.locator(".options"));
await press("Enter");
await page.getByRole("menuitem", { name: "Rename" }).waitFor();
await press("Enter");
await page.locator("dialog input").fill("");
await page.keyboard.type("The lobby");
await press("Enter");
await alice.locator(".head h3", { hasText: "The lobby" }).waitFor();

// The network, off and on.
await reach(alice.locator(".cut"), "Shift+Tab");
await press("Space");
await alice.locator(".state.disconnected").waitFor();
await press("Space");
await alice.locator(".state.connected").waitFor();

// Everything that can have the focus has a name.
const nameless = await page.evaluate(() => [...document.querySelectorAll("button, select, textarea, input, a, summary")]
  .filter((node) => !node.closest("[aria-hidden]") && !(node.getAttribute("aria-label") || node.textContent.trim() || node.closest("label")?.textContent.trim())).map((node) => node.outerHTML));
console.log(JSON.stringify({ isBack, isStillBack, nameless, ...seen }));
await browser.close();
