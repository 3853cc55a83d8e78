// Live events, each with the answer it waits for: a box to write in, and the same answer as curl, TypeScript and Python.

import { call, clock, copyable, el, send } from "./api.js";

const KEPT = 150;
const ORDER = ["accepted", "sending", "sent", "delivered", "read"];
const ENDS_BADLY = ["failed", "expired", "cancelled", "suppressed"];
const list = document.getElementById("events");
const empty = document.getElementById("empty");
const signals = document.getElementById("signals");
const watched = new Map(); // our message's id -> how to draw it again
const raws = []; // raw webhooks of simulated people, until their event comes
const minor = (type) => type === "fairway.message.status" || type === "fairway.contact.typing" || type === "fairway.contact.read";

signals.addEventListener("change", () => {
  for (const node of list.querySelectorAll(".minor")) node.hidden = !signals.checked;
});
document.getElementById("clear").addEventListener("click", () => {
  list.replaceChildren();
  watched.clear();
  empty.hidden = false;
});

// The provider's own body, to be shown beside the event it becomes.
export function remember(channel, webhooks) {
  raws.push(...webhooks.map((raw) => ({ channel, raw })));
  raws.splice(0, Math.max(0, raws.length - 20));
}

function words(part) {
  switch (part.type) {
    case "text": return part.text;
    case "choice": return `picked: ${part.title ?? part.id}`;
    case "choices": return `${part.text}\n${part.options.map((o) => `( ${o.title} )`).join(" ")}`;
    case "location": return `${part.name ?? "a place"}: ${part.latitude}, ${part.longitude}`;
    case "form": return `form ${part.name ?? ""}: ${JSON.stringify(part.fields)}`;
    case "image":
      if (part.media?.url && part.media.status === "ready") {
        return el("span", {}, el("img", { src: part.media.url, alt: part.media.filename ?? "picture" }), part.caption ?? "");
      }
      return `[picture] ${part.caption ?? part.media?.filename ?? ""}`;
    default: return part.media ? `[${part.type}] ${part.caption ?? part.media.filename ?? ""}` : `[${part.type}]`;
  }
}

function sentence(event) {
  const d = event.data;
  switch (event.type) {
    case "fairway.message.status": return `${d.message_id} is ${d.state.replace("_", " ")}${d.error ? `: ${d.error.title}` : ""}`;
    case "fairway.contact.typing": return `${d.from?.name ?? d.from?.address} is typing`;
    case "fairway.contact.read": return `${d.from?.name ?? d.from?.address} has read`;
    case "fairway.contact.tracked": return `${d.name} ${JSON.stringify(d.properties ?? {})}`;
    case "fairway.contact.updated": return `${d.change}: ${d.previous ?? ""} → ${d.current ?? ""}`;
    case "fairway.webhook.unparsed": return d.reason;
    default: return d.text ?? d.provider_type ?? "";
  }
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function snippets(to, channel) {
  const body = { to, channel, parts: [{ type: "text", text: "Hello from the API" }] };
  const text = JSON.stringify(body);
  const url = `${location.origin}/v1/messages`;
  const pretty = JSON.stringify(body, null, 2);
  return {
    curl: `curl -X POST ${url} \\\n  -H 'content-type: application/json' \\\n  -d ${quote(text)}`,
    TypeScript: `const answer = await fetch("${url}", {\n  method: "POST",\n  headers: { "content-type": "application/json" },\n  body: JSON.stringify(${pretty.replaceAll("\n", "\n  ")}),\n});\nconsole.log(await answer.json());`,
    Python: `import json, urllib.request\n\nrequest = urllib.request.Request(\n    "${url}",\n    data=json.dumps(${pretty.replaceAll("\n", "\n    ")}).encode(),\n    headers={"content-type": "application/json"},\n)\nprint(urllib.request.urlopen(request).read().decode())`,
  };
}

function code(to, channel) {
  const all = snippets(to, channel);
  const place = el("div");
  const buttons = Object.keys(all).map((tongue) => el("button", { type: "button", "aria-pressed": "false", onclick: () => show(tongue) }, tongue));
  const show = (tongue) => {
    place.replaceChildren(copyable(all[tongue]));
    buttons.forEach((b) => b.setAttribute("aria-pressed", String(b.textContent === tongue)));
  };
  show("curl");
  return el("details", {}, el("summary", {}, "Reply from code"), el("div", { class: "tongues" }, buttons), place);
}

// One message of ours, ticking through its states.
function follow(id, text) {
  const states = el("ul", { class: "states", "aria-label": "States" });
  const lines = el("ol", { class: "timeline" });
  const node = el("div", { class: "sent" }, el("div", {}, text, " ", el("span", { class: "meta" }, id)), states, lines);
  let last = "";
  const draw = async () => {
    const message = await call("GET", `/v1/messages/${id}`).catch(() => null);
    if (!message || message.updated_at + message.timeline?.length === last) return;
    last = message.updated_at + message.timeline?.length;
    const reached = new Set(message.timeline.map((l) => l.what).concat(message.state));
    const at = ORDER.indexOf(message.state);
    const marks = ORDER.map((state, index) => el("li", { class: reached.has(state) || index <= at ? "done" : null }, state));
    if (ENDS_BADLY.includes(message.state)) marks.push(el("li", { class: "bad" }, message.state));
    if (["held", "in_doubt", "scheduled"].includes(message.state)) marks.push(el("li", { class: "wait" }, message.state.replace("_", " ")));
    states.replaceChildren(...marks);
    lines.replaceChildren(...message.timeline.map((l) => el("li", {}, el("time", {}, clock(l.at)), l.text)));
    node.dataset.state = message.state;
  };
  watched.set(id, draw);
  draw();
  // Waits and decisions are no events: they are looked up until the end is reached.
  const timer = setInterval(() => (node.isConnected && !["read", ...ENDS_BADLY].includes(node.dataset.state) ? draw() : clearInterval(timer)), 1_500);
  return node;
}

// Why it went, waits or did not go; looked up when somebody asks.
function story(id) {
  const node = el("details", {}, el("summary", {}, "States and timeline"));
  node.addEventListener("toggle", () => node.append(follow(id, "")), { once: true });
  return node;
}

function replyBox(event) {
  const { data } = event;
  const place = el("div");
  const input = el("input", { type: "text", placeholder: `Reply to ${data.from?.name ?? "this person"}`, "aria-label": "Reply", autocomplete: "off" });
  const submit = async (e) => {
    e.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    try {
      const accepted = await send({ to: data.from.address, channel: data.channel, parts: [{ type: "text", text }], author: { kind: "agent", name: "You" } });
      place.append(follow(accepted.id, text));
    } catch (error) {
      place.append(el("div", { class: "note bad" }, error.message));
    }
  };
  let typed = 0;
  input.addEventListener("input", () => {
    if (Date.now() - typed < 4_000) return;
    typed = Date.now();
    call("POST", "/v1/typing", { conversation: data.conversation, message_id: data.message?.id }).catch(() => undefined);
  });
  return [el("form", { class: "reply", onsubmit: submit }, input, el("button", { class: "primary" }, "Reply")), place];
}

function json(event, raw) {
  const show = (title, value) => el("div", {}, el("div", { class: "dim" }, title), el("pre", { tabindex: "0" }, JSON.stringify(value, null, 2)));
  const views = [raw && show("What the provider sent", raw), show("The event", event)];
  return el("details", {}, el("summary", {}, raw ? "Webhook and event" : "The event as JSON"), el("div", { class: "pair" }, views));
}

export function heard(event) {
  const { data, type } = event;
  watched.get(data.message_id)?.();
  const small = minor(type);
  const head = el("div", { class: "head" },
    el("span", { class: "kind" }, type.replace("fairway.", "")), el("span", { class: "meta" }, [data.channel, data.from?.name ?? data.from?.address, data.to && `to ${data.to}`].filter(Boolean).join(" · ")),
    el("time", { datetime: event.time }, clock(event.time)));
  const message = ["fairway.message.received", "fairway.message.created", "fairway.message.edited"].includes(type) ? data.message : null;
  const parts = message?.parts?.map((p) => el("div", {}, words(p)));
  const node = el("article", { class: small ? "event minor" : "event", tabindex: "-1", "aria-label": type, hidden: small && !signals.checked });
  node.append(head);
  if (small) node.append(el("div", { class: "dim" }, sentence(event)));
  else node.append(el("div", { class: "words" }, parts?.length ? parts : sentence(event)));
  if (type === "fairway.message.received") {
    const at = raws.findIndex((r) => r.channel === data.channel);
    const raw = at >= 0 ? raws.splice(at, 1)[0].raw : null;
    node.append(...replyBox(event), code(data.from.address, data.channel), json(event, raw));
  } else {
    if (type === "fairway.message.created" && data.message_id?.startsWith("msg_")) node.append(story(data.message_id));
    node.append(json(event));
  }
  list.prepend(node);
  empty.hidden = true;
  while (list.children.length > KEPT) list.lastElementChild.remove();
}
