// The simulated providers: people who write, moods that make a provider sick, and its books beside ours.

import { call, el } from "./api.js";
import { remember } from "./events.js";

const MOODS = {
  healthy: {},
  "too busy (429)": { throttle: 0.6, retry_after_secs: 2 },
  "timeouts after accepting": { timeout: 0.5 },
  "duplicate webhooks": { duplicate: 1, reorder: 0.5 },
  "slow and failing (5xx)": { latency_ms: 800, broken: 0.4 },
};
const SENTENCES = ["Hello, is my order on its way?", "Can I come an hour later?", "Thanks!", "Do you have this in blue?", "Wo ist meine Bestellung?"];
const BOOKS = { sends: "Sends it saw", accepted: "Accepted", throttled: "Answered 429", unanswered: "Accepted, never answered", broken: "Answered 5xx", refused: "Refused", peak: "Most in one window" };

let said = 0;
let channels = [];

const person = (scheme) => {
  if (scheme === "mailto") return `mailto:${["ana", "ben", "chi"][said % 3]}@example.org`;
  return ["tel", "whatsapp", "sms", "rcs"].includes(scheme) ? `${scheme}:+15550100${200 + (said % 3)}` : `${scheme}:555000${1 + (said % 3)}`;
};

async function write(provider, scheme, channel, note) {
  const text = SENTENCES[said % SENTENCES.length];
  said += 1;
  try {
    const { webhooks } = await call("POST", `/sandbox-control/${provider}/act`, { person: person(scheme), text });
    remember(channel, webhooks);
  } catch (error) {
    note?.(error.message);
  }
}

function moodOf(mood) {
  const same = (a) => Object.keys(MOODS[a]).length > 0 && Object.entries(MOODS[a]).every(([k, v]) => mood[k] === v);
  return Object.keys(MOODS).find(same) ?? "healthy";
}

// Our side of the books: how many messages of a channel stand where.
async function ours(channel) {
  const counts = {};
  let after = "";
  for (let page = 0; page < 4; page += 1) {
    const { data, next } = await call("GET", `/v1/messages?channel=${encodeURIComponent(channel)}&limit=500${after}`);
    for (const m of data) counts[m.state] = (counts[m.state] ?? 0) + 1;
    if (!next) break;
    after = `&after=${encodeURIComponent(next)}`;
  }
  return counts;
}

const SENT = ["sent", "delivered", "read"];

function verdict(counts, books) {
  const there = SENT.reduce((n, s) => n + (counts[s] ?? 0), 0);
  const under = ["accepted", "scheduled", "held", "sending", "in_doubt"].reduce((n, s) => n + (counts[s] ?? 0), 0);
  if (!there && !under && !books.accepted) return ["good", "Nothing sent here yet."];
  if (under) return ["wait", `${under} under way or in doubt; see each message's timeline for why.`];
  if (there === books.accepted) return ["good", `It accepted ${books.accepted}, we count ${there}: nothing lost, nothing twice.`];
  return ["wait", `It accepted ${books.accepted} since it started, we count ${there} of all time.`];
}

function card(provider, state, channel) {
  const note = el("div", { class: "note", hidden: true });
  const tell = (kind, text) => {
    note.className = `note ${kind}`;
    note.textContent = text;
    note.hidden = false;
  };
  const scheme = channel.schemes[0];
  const select = el("select", { id: `mood-${provider}` }, Object.keys(MOODS).map((m) => el("option", { value: m }, m)));
  select.value = moodOf(state.mood);
  select.addEventListener("change", () => call("PUT", `/sandbox-control/${provider}/mood`, MOODS[select.value]).catch((e) => tell("bad", e.message)));
  const burst = async () => {
    const to = person(scheme);
    const sends = Array.from({ length: 10 }, (_, n) =>
      call("POST", "/v1/messages", { to, channel: channel.id, parts: [{ type: "text", text: `Message ${n + 1} of 10` }] }));
    const done = await Promise.allSettled(sends);
    const bad = done.find((d) => d.status === "rejected");
    if (bad) tell("bad", bad.reason.message);
  };
  const table = el("tbody");
  const node = el("div", { class: "card form" },
    el("h3", {}, channel.name, " ", el("span", { class: "meta" }, channel.id)),
    el("div", { class: "strip" }, channel.delivers ? el("button", { type: "button", onclick: () => write(provider, scheme, channel.id, (t) => tell("bad", t)) }, "Let somebody write") : "", el("button", { type: "button", onclick: burst }, "Send 10 to one person")),
    el("label", { for: `mood-${provider}` }, "How it feels"), select,
    el("table", {}, el("caption", { class: "hush" }, `Books of ${channel.name}`), table), note);
  const update = async (fresh) => {
    const rows = Object.entries(BOOKS).filter(([k]) => fresh.books[k] || ["sends", "accepted"].includes(k));
    table.replaceChildren(...rows.map(([k, label]) => el("tr", {}, el("th", { scope: "row" }, label), el("td", {}, String(fresh.books[k])))));
    if (document.activeElement !== select) select.value = moodOf(fresh.mood);
    const counts = await ours(channel.id).catch(() => null);
    if (counts) tell(...verdict(counts, fresh.books));
  };
  return { node, update };
}

export async function providers() {
  const panel = document.getElementById("providers-panel");
  const strip = document.getElementById("people");
  channels = (await call("GET", "/v1/channels")).data;
  const twins = await call("GET", "/sandbox-control").catch(() => null);
  if (!twins) {
    strip.hidden = true;
    panel.replaceChildren(el("p", { class: "empty" }, "The sandbox is off: these are real providers, and they feel as they feel."));
    return channels;
  }
  const cards = new Map();
  strip.append(el("span", { class: "dim" }, "Let somebody write:"));
  // Push services deliver nothing; they come last.
  const delivers = ([, state]) => channels.find((c) => c.id === state.channel)?.delivers;
  const ordered = Object.entries(twins).sort((a, b) => Number(Boolean(delivers(b))) - Number(Boolean(delivers(a))));
  for (const [provider, state] of ordered) {
    const channel = channels.find((c) => c.id === state.channel);
    if (!channel) continue;
    cards.set(provider, card(provider, state, channel));
    if (channel.delivers) strip.append(el("button", { type: "button", onclick: () => write(provider, channel.schemes[0], channel.id) }, channel.name));
  }
  panel.append(el("p", { class: "hint" }, "Make a provider sick, send through it, and watch the balance: what waits says why, and nothing is lost or sent twice in silence."),
    el("div", { class: "grid" }, [...cards.values()].map((c) => c.node)));
  const look = async () => {
    if (!panel.hidden) {
      const fresh = await call("GET", "/sandbox-control").catch(() => null);
      if (fresh) for (const [provider, c] of cards) if (fresh[provider]) await c.update(fresh[provider]);
    }
    setTimeout(look, 1_500);
  };
  look();
  return channels;
}
