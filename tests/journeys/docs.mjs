// Drives /docs in Chromium: reads the description, gives the key, sends a request, and notes whoever else is asked.
import { chromium } from "playwright-core";

const [base, executablePath, picture] = process.argv.slice(2);
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });
const page = await browser.newPage({ viewport: { width: 1180, height: 1000 } });
const troubles = [];
const elsewhere = [];
page.on("pageerror", (error) => troubles.push(String(error)));
page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
await page.route("**", (route) => {
  const url = route.request().url();
  if (url.startsWith(`${base}/`) || url.startsWith("data:")) return route.continue();
  elsewhere.push(url);
  return route.abort();
});
await page.goto(`${base}/docs`);
await page.locator(".opblock").first().waitFor();
const operations = await page.locator(".opblock").count();
if (picture) await page.screenshot({ path: picture });
await page.getByRole("button", { name: "Authorize" }).first().click();
await page.locator(".auth-container", { hasText: "secret_key" }).locator("input").fill("caas_sk_dev");
await page.locator(".auth-container", { hasText: "secret_key" }).getByRole("button", { name: "Apply credentials" }).click();
await page.locator(".close-modal").click();
const block = page.locator('.opblock', { hasText: 'conversation.get' }).first();
await block.locator(".opblock-summary-control").click();
await block.locator("tr", { hasText: "CAAS-User" }).locator("input").fill("alice");
await block.locator("tr[data-param-name='c'] input").fill("lobby");
await block.getByRole("button", { name: "Execute" }).click();
const live = block.locator(".live-responses-table .response");
await live.waitFor();
const status = (await live.locator(".response-col_status").innerText()).trim();
const said = await live.locator(".response-col_description").innerText();
if (picture) {
  await block.scrollIntoViewIfNeeded();
  await block.screenshot({ path: picture.replace(".png", "-tried.png") });
}
console.log(JSON.stringify({ operations, status, answered: said.includes("lobby"), elsewhere, troubles }));
await browser.close();
