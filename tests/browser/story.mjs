// The story of a visitor: he writes, is answered, picks, sends a picture, comes back, loses the network, and the gateway dies
// under him. Nothing is lost, nothing stands twice, and every answer ends in `read`.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { gateway, identity, pause, until } from "./gateway.mjs";
import { png } from "./png.mjs";

const { CHROMIUM, FAIRWAY_BIN, FOLDER, SCREENSHOTS } = process.env;
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const PICTURE = png(240, 150);

const fairway = await gateway(FOLDER, FAIRWAY_BIN);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
const troubles = [];

async function visit(options = {}, path = "/") {
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => troubles.push(`page: ${error.message}`));
  page.on("console", (line) => {
    const text = line.text();
    // A network that is cut on purpose is loud in the console; a broken policy or script is what we look for.
    if (line.type() === "error" && !/Failed to load resource|WebSocket connection|net::ERR/.test(text)) troubles.push(`console: ${text}`);
  });
  await page.goto(fairway.base + path);
  return page;
}

const bubbles = (page) => page.locator(".fairway-chat .bubble");
const box = (page) => page.getByRole("textbox", { name: "Your message" });
const say = async (page, text) => {
  await box(page).fill(text);
  await box(page).press("Enter");
};
const received = async (text) => (await fairway.events("fairway.message.received")).filter((e) => e.data.message.parts[0].text === text);
const shown = (page, text) => page.locator(".fairway-chat .bubble", { hasText: text });
const once = async (page, text) => assert.equal(await shown(page, text).count(), 1, `"${text}" stands once`);
const picture = async (page, name) => SCREENSHOTS && (await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` }));

const chapters = [];
const chapter = (name, act) => chapters.push([name, act]);
let page;
let address;

chapter("he writes, and it becomes an event on the page", async () => {
  page = await visit();
  await until("the chat is there", () => box(page).isVisible());
  await say(page, "Where is order 17?");
  const [event] = await until("the event", async () => ((await received("Where is order 17?")).length ? received("Where is order 17?") : null));
  address = event.data.from.address;
  assert.match(address, /^webchat:v-/);
  assert.equal(event.data.extra.page.url, `${fairway.base}/`);
  await page.locator("article.event .words", { hasText: "Where is order 17?" }).waitFor();
  await until("it is acknowledged", async () => (await page.locator(".fairway-chat .state").last().textContent()) === "Sent");
  await once(page, "Where is order 17?");
});

chapter("he is answered through the API, and the answer ends in read", async () => {
  const id = await fairway.send(address, { type: "text", text: "It is on its **way**, see https://example.org/17.", format: "markdown" });
  await shown(page, "It is on its way").waitFor();
  assert.equal(await shown(page, "It is on its way").locator("b").textContent(), "way");
  await until("read", async () => (await fairway.state(id)) === "read");
  await once(page, "It is on its way");
});

chapter("he is answered from the page, and it ticks to read there", async () => {
  await page.getByRole("textbox", { name: "Reply" }).first().fill("Tomorrow at ten");
  await page.getByRole("button", { name: "Reply", exact: true }).first().click();
  await shown(page, "Tomorrow at ten").waitFor();
  await page.locator(".sent .states .done", { hasText: "read" }).first().waitFor();
  await page.locator(".sent .timeline li", { hasText: "Accepted" }).first().waitFor();
});

chapter("somebody types, and somebody has read", async () => {
  await fairway.api("POST", "/v1/typing", { conversation: `demo-webchat/${address}` });
  await page.locator(".fairway-chat .typing", { hasText: "is typing" }).waitFor();
  const own = (await received("Where is order 17?"))[0].data.message.id;
  await fairway.api("POST", "/v1/read", { conversation: `demo-webchat/${address}`, message_id: own });
  await until("seen", async () => (await page.locator(".fairway-chat .state").last().textContent()) === "Seen");
  await box(page).pressSequentially("abc");
  await until("his typing is an event", async () => (await fairway.events("fairway.contact.typing")).length > 0);
  await box(page).fill("");
});

chapter("a quick reply comes back as a choice", async () => {
  await fairway.send(address, { type: "choices", text: "Still coming?", layout: "quick_replies", options: [{ id: "yes", title: "Yes" }, { id: "move", title: "Another time" }] });
  await page.getByRole("button", { name: "Another time" }).click();
  const choice = await until("the choice", async () =>
    (await fairway.events("fairway.message.received")).find((e) => e.data.message.parts[0].type === "choice"));
  assert.deepEqual(choice.data.message.parts[0], { type: "choice", kind: "quick_reply", id: "move", title: "Another time" });
  assert.match(choice.data.message.reply_to.message_id, /^msg_/);
  await until("the chips are gone", async () => (await page.locator(".fairway-chat .quick .option").count()) === 0);
});

chapter("cards, buttons, a list and a form", async () => {
  await fairway.send(address, { type: "carousel", text: "These fit", cards: [{ title: "Blue shoes", options: [{ id: "blue", title: "Take blue" }] }, { title: "Green shoes" }] });
  await page.getByRole("button", { name: "Take blue" }).click();
  await fairway.send(address, { type: "form", name: "callback", fields: [{ name: "email", type: "email", label: "E-mail", required: true }] });
  await page.getByLabel("E-mail").fill("ana@example.org");
  await page.getByRole("button", { name: "Submit" }).click();
  const form = await until("the form", async () => (await fairway.events("fairway.message.received")).find((e) => e.data.message.parts[0].type === "form"));
  assert.deepEqual(form.data.message.parts[0].fields, { email: "ana@example.org" });
});

chapter("a picture goes up and comes down", async () => {
  await page.locator('.fairway-chat input[type="file"]').setInputFiles({ name: "cat.png", mimeType: "image/png", buffer: PICTURE });
  const event = await until("the picture", async () => (await fairway.events("fairway.message.received")).find((e) => e.data.message.parts[0].type === "image"));
  const { media } = event.data.message.parts[0];
  const answer = await fetch(media.url);
  assert.equal(answer.headers.get("content-type"), "image/png");
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), PICTURE);
  assert.equal((await fetch(media.url.slice(0, -3))).status, 404, "a reference that was touched opens nothing");
  await fairway.send(address, { type: "file", media: { id: media.id, filename: "order.pdf", mime_type: "application/pdf" } });
  const link = page.locator(".fairway-chat a.file", { hasText: "order.pdf" });
  await link.waitFor();
  assert.match((await fetch(await link.getAttribute("href"))).headers.get("content-disposition"), /^attachment/);
  await until("it is seen", () => page.locator(".fairway-chat img").evaluate((img) => img.naturalWidth === 240));
  await picture(page, "desktop-light");
});

chapter("he comes back and finds everything", async () => {
  const before = await bubbles(page).allTextContents();
  await page.reload();
  await until("all is there", async () => (await bubbles(page).count()) === before.length);
  const after = await bubbles(page).allTextContents();
  await until("the picture too", () => page.locator(".fairway-chat img").evaluate((img) => img.naturalWidth === 240));
  assert.deepEqual(after.map((t) => t.trim()), before.map((t) => t.trim()));
});

chapter("the network is cut: nothing is lost, nothing stands twice", async () => {
  await page.context().setOffline(true);
  await say(page, "Written off line");
  await page.locator(".fairway-chat .bar", { hasText: "offline" }).waitFor();
  const id = await fairway.send(address, { type: "text", text: "Sent while he was away" });
  await until("it waits as sent", async () => (await fairway.state(id)) === "sent");
  await page.context().setOffline(false);
  await shown(page, "Sent while he was away").waitFor();
  await until("his own went out", async () => (await received("Written off line")).length === 1);
  await until("read", async () => (await fairway.state(id)) === "read");
  await pause(500);
  await once(page, "Sent while he was away");
  await once(page, "Written off line");
  assert.equal((await received("Written off line")).length, 1);
});

chapter("the gateway is killed under him and comes back with everything", async () => {
  const before = (await bubbles(page).count());
  await fairway.kill();
  await say(page, "Written while it was dead");
  await page.locator("#health.bad").waitFor();
  await fairway.start();
  await until("it went out", async () => (await received("Written while it was dead")).length === 1, 30_000);
  await page.locator("#health", { hasText: "Back after a restart" }).waitFor({ timeout: 20_000 });
  await page.locator("#balance", { hasText: "accepted =" }).waitFor();
  const id = await fairway.send(address, { type: "text", text: "And I am here again" });
  await shown(page, "And I am here again").waitFor({ timeout: 20_000 });
  await until("read", async () => (await fairway.state(id)) === "read");
  await once(page, "Written while it was dead");
  assert.equal(await bubbles(page).count(), before + 2);
});

chapter("two tabs show the same", async () => {
  const second = await page.context().newPage();
  await second.goto(fairway.base);
  await shown(second, "And I am here again").waitFor();
  await say(second, "From the second tab");
  await shown(page, "From the second tab").waitFor();
  await once(second, "From the second tab");
  await second.close();
});

chapter("without sockets it goes on by polling", async () => {
  const context = await browser.newContext();
  await context.addInitScript(() => delete window.WebSocket);
  const poller = await context.newPage();
  await poller.goto(fairway.base);
  await until("the chat is there", () => box(poller).isVisible());
  await say(poller, "By polling");
  const [event] = await until("the event", async () => ((await received("By polling")).length ? received("By polling") : null));
  const id = await fairway.send(event.data.from.address, { type: "text", text: "Polled answer" });
  await shown(poller, "Polled answer").waitFor();
  await until("read", async () => (await fairway.state(id)) === "read");
  await once(poller, "By polling");
  await context.close();
});

chapter("with the keyboard alone, on a page that only has the launcher", async () => {
  const context = await browser.newContext({ viewport: { width: 900, height: 700 } });
  const keys = await context.newPage();
  keys.on("pageerror", (error) => troubles.push(`launcher page: ${error.message}`));
  const html = `<!doctype html><title>Shop</title><h1>Shop</h1><script src="/webchat/widget.js" data-channel="demo-webchat" defer></script>`;
  const policy = `default-src 'none'; script-src 'self'; connect-src 'self' ws:; img-src 'self' blob:`;
  await keys.route(`${fairway.base}/shop`, (route) => route.fulfill({ contentType: "text/html", body: html, headers: { "content-security-policy": policy } }));
  await keys.goto(`${fairway.base}/shop`);
  const launcher = keys.getByRole("button", { name: "Open chat" });
  await launcher.waitFor();
  await keys.keyboard.press("Tab");
  await keys.keyboard.press("Enter");
  await keys.getByRole("dialog", { name: "Chat with us" }).waitFor();
  assert.equal(await keys.locator(".launcher").getAttribute("aria-expanded"), "true");
  await keys.keyboard.type("No mouse here");
  await keys.keyboard.press("Enter");
  const [event] = await until("the event", async () => ((await received("No mouse here")).length ? received("No mouse here") : null));
  await fairway.send(event.data.from.address, { type: "choices", text: "Which?", options: [{ id: "a", title: "First" }, { id: "b", title: "Second" }] });
  await keys.getByRole("button", { name: "Second" }).waitFor();
  for (let n = 0; n < 12 && (await focused(keys)) !== "Second"; n += 1) await keys.keyboard.press("Shift+Tab");
  assert.equal(await focused(keys), "Second");
  await keys.keyboard.press("Enter");
  await until("the choice", async () => (await fairway.events("fairway.message.received")).some((e) => e.data.message.parts[0].id === "b"));
  await picture(keys, "launcher-open");
  await keys.keyboard.press("Escape");
  assert.equal(await keys.locator(".panel").isVisible(), false);
  await keys.getByRole("button", { name: "Open chat" }).waitFor();
  assert.equal(await keys.evaluate(() => document.activeElement.shadowRoot?.activeElement?.className), "launcher");
  const id = await fairway.send(event.data.from.address, { type: "text", text: "Are you there?" });
  await keys.getByRole("button", { name: "Open chat, 1 unread" }).waitFor();
  assert.equal(await keys.title(), "(1) Shop");
  assert.notEqual(await fairway.state(id), "read");
  await keys.keyboard.press("Enter");
  await until("read", async () => (await fairway.state(id)) === "read");
  assert.equal(await keys.title(), "Shop");
  await context.close();
});

const focused = (where) => where.evaluate(() => document.activeElement.shadowRoot?.activeElement?.textContent);

chapter("the site names him, and his conversation goes with him", async () => {
  const context = await browser.newContext();
  const named = await context.newPage();
  await named.goto(fairway.base);
  await until("the chat is there", () => box(named).isVisible());
  await say(named, "Before I signed in");
  const [event] = await until("the event", async () => ((await received("Before I signed in")).length ? received("Before I signed in") : null));
  await named.evaluate(() => new Promise((resolve) => (FairwayChat.on("refused", resolve), FairwayChat.login("not.a.proof"))));
  await named.locator(".fairway-chat .bar", { hasText: "sign in" }).waitFor();
  const proof = identity({ external_id: "user-4711", name: "Ana", exp: Date.now() / 1000 + 600 }, "twin-identity-secret-0001");
  await named.evaluate((jwt) => FairwayChat.login(jwt), proof);
  await shown(named, "Before I signed in").waitFor();
  await say(named, "And after");
  const [after] = await until("the event", async () => ((await received("And after")).length ? received("And after") : null));
  assert.match(after.data.from.address, /^webchat:u-/);
  assert.equal(after.data.from.name, "Ana");
  const merged = (await fairway.events("fairway.contact.updated")).find((e) => e.data.change === "merged");
  assert.deepEqual([merged.data.previous, merged.data.current], [event.data.from.address, after.data.from.address]);
  await fairway.send(event.data.from.address, { type: "text", text: "To your old address" });
  await shown(named, "To your old address").waitFor();
  await named.evaluate(() => FairwayChat.logout());
  await until("the device is clean", async () => (await shown(named, "And after").count()) === 0);
  await context.close();
});

chapter("other sites' pages are kept out", async () => {
  const ask = (origin) => fetch(`${fairway.base}/webchat/demo-webchat/session`, { method: "POST", headers: { origin } });
  assert.equal((await ask("https://evil.example")).status, 403);
  assert.equal((await ask("null")).status, 403);
  const fine = await ask("http://localhost:3000");
  assert.equal(fine.headers.get("access-control-allow-origin"), "http://localhost:3000");
});

chapter("a provider is made sick, and a message is shown on every channel", async () => {
  await page.getByRole("tab", { name: "Providers" }).click();
  const sick = await page.locator("#providers-panel .card .meta").first().textContent();
  await page.getByRole("combobox").first().selectOption("duplicate webhooks");
  await page.getByRole("button", { name: "Let somebody write" }).first().click();
  await page.getByRole("button", { name: "Send 10 to one person" }).first().click();
  await page.locator("#providers-panel .note").first().waitFor();
  await pause(SCREENSHOTS ? 3_000 : 300);
  await picture(page, "providers");
  await page.getByRole("tab", { name: "Send as" }).click();
  await page.locator("#preview-panel .bubble").first().waitFor();
  await picture(page, "preview");
  await page.getByRole("tab", { name: "Live events" }).click();
  await page.locator("article.event:not(.minor) .meta", { hasText: sick }).first().waitFor();
  await page.locator("article.event details summary", { hasText: "Reply from code" }).first().click();
  await page.locator("article.event .code pre", { hasText: "curl -X POST" }).first().waitFor();
  await picture(page, "events");
});

chapter("it reads well in the dark and on a small screen", async () => {
  const dark = await visit({ colorScheme: "dark" });
  await until("the chat is there", () => box(dark).isVisible());
  await say(dark, "Good evening");
  await until("it is taken", async () => (await received("Good evening")).length === 1);
  await fairway.send((await received("Good evening"))[0].data.from.address, { type: "text", text: "Good evening! What can we do for you?" });
  await shown(dark, "What can we do").waitFor();
  await picture(dark, "desktop-dark");
  const small = await visit({ viewport: { width: 360, height: 740 }, isMobile: true });
  await until("the chat is there", () => box(small).isVisible());
  await say(small, "From a small screen");
  await small.locator("article.event:not(.minor)").first().waitFor();
  for (const [where, width] of [[small, 360]]) {
    assert.ok((await where.evaluate(() => document.documentElement.scrollWidth)) <= width, "nothing stands out to the side");
  }
  await picture(small, "small");
  if (SCREENSHOTS) await small.screenshot({ path: `${SCREENSHOTS}/small-full.png`, fullPage: true });
  await dark.context().close();
  await small.context().close();
});

let failed = 0;
for (const [name, act] of chapters) {
  const since = Date.now();
  try {
    await act();
    process.stdout.write(`ok   ${name} (${((Date.now() - since) / 1000).toFixed(1)} s)\n`);
  } catch (error) {
    failed += 1;
    process.stdout.write(`FAIL ${name}\n${error.stack}\n`);
    if (page && SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/failed-${failed}.png` }).catch(() => undefined);
  }
}
for (const trouble of new Set(troubles)) {
  failed += 1;
  process.stdout.write(`FAIL ${trouble}\n`);
}
await browser.close();
await fairway.kill("SIGTERM");
process.exit(failed ? 1 : 0);
