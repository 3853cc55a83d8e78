// The page: chat on the left, what the gateway makes of it on the right.

import { call, follow } from "./api.js";
import { heard } from "./events.js";
import { preview } from "./preview.js";
import { providers } from "./providers.js";

const health = document.getElementById("health");
const balance = document.getElementById("balance");
const WORDS = { accepted: "waiting", in_doubt: "in doubt" };
const NEWS = 20_000;
const ORDER = ["accepted", "scheduled", "held", "sending", "in_doubt", "sent", "delivered", "read", "failed", "expired", "cancelled", "suppressed"];

let version = "";
let wasAway = false;
let backSince = 0;

function showHealth(state, text) {
  health.className = `health ${state}`;
  health.textContent = text;
}

// The books in one line: everything that was accepted stands somewhere.
async function showBalance() {
  try {
    const status = await call("GET", "/v1/status");
    version = status.version;
    const where = ORDER.filter((s) => status.balance[s]).map((s) => `${status.balance[s]} ${WORDS[s] ?? s}`);
    balance.textContent = `${status.accepted} accepted${where.length ? ` = ${where.join(" + ")}` : ""}`;
    if (wasAway) backSince = Date.now();
    wasAway = false;
    if (Date.now() - backSince < NEWS) showHealth("good", `Back after a restart: ${balance.textContent}`);
    else showHealth(status.ready ? "good" : "bad", status.ready ? `Running ${version}` : "Cannot store events now");
  } catch {
    wasAway = true;
    showHealth("bad", "The gateway is away; reconnecting");
  }
}

function tabs() {
  const all = [...document.querySelectorAll('[role="tab"]')];
  const show = (tab) => {
    for (const t of all) {
      const on = t === tab;
      t.setAttribute("aria-selected", String(on));
      t.tabIndex = on ? 0 : -1;
      document.getElementById(t.getAttribute("aria-controls")).hidden = !on;
    }
    tab.dispatchEvent(new CustomEvent("shown"));
  };
  for (const tab of all) {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const next = all[(all.indexOf(tab) + by + all.length) % all.length];
      show(next);
      next.focus();
    });
  }
}

async function begin() {
  tabs();
  follow(heard, showBalance);
  setInterval(showBalance, 2_000);
  const channels = await providers();
  const chat = channels.find((c) => c.schemes.includes("webchat"));
  if (chat) window.FairwayChat.init({ channel: chat.id, target: "#chat", title: "Support", subtitle: `Channel ${chat.id}` });
  else document.querySelector(".chat").hidden = true;
  const draw = preview(channels);
  document.getElementById("tab-preview").addEventListener("shown", draw, { once: true });
}

begin().catch((error) => showHealth("bad", error.message));
