// The gateway as this page knows it: its public API and nothing else.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (["hidden", "disabled", "value", "checked"].includes(name)) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat(9).filter((c) => c != null && c !== false));
  return node;
}

const KEY = "fairway-console-key";
let asked = null;

function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...more, authorization: `Bearer ${key}` } : more;
}

// Asks for a key once and waits for it.
function askKey() {
  asked ??= new Promise((resolve) => {
    const form = document.getElementById("key");
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, document.getElementById("key-text").value.trim());
      form.hidden = true;
      asked = null;
      resolve();
    }, { once: true });
  });
  return asked;
}

export async function call(method, path, body) {
  const options = { method, headers: headers(body === undefined ? {} : { "content-type": "application/json" }) };
  if (body !== undefined) options.body = JSON.stringify(body);
  const answer = await fetch(path, options);
  if (answer.status === 401) {
    await askKey();
    return call(method, path, body);
  }
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) {
    const error = new Error(value?.errors?.[0]?.detail ?? value?.detail ?? `the gateway answered ${answer.status}`);
    error.status = answer.status;
    throw error;
  }
  return value;
}

export const send = (request) => call("POST", "/v1/messages", request);

// Server-sent events by fetch, because an EventSource carries no key. Goes on behind the last event it has, for ever.
export async function follow(heard, changed) {
  let last = null;
  let wait = 300;
  for (;;) {
    try {
      const more = { accept: "text/event-stream", ...(last ? { "last-event-id": last } : {}) };
      const answer = await fetch("/v1/events", { headers: headers(more), cache: "no-store" });
      if (answer.status === 401) {
        await askKey();
        continue;
      }
      if (answer.status === 400 || answer.status === 410) last = null;
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      changed(true);
      wait = 300;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        text += value;
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          const frame = text.slice(0, end).split("\n");
          text = text.slice(end + 2);
          const data = frame.filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trim()).join("\n");
          last = frame.find((l) => l.startsWith("id:"))?.slice(3).trim() ?? last;
          if (data) heard(JSON.parse(data));
        }
      }
    } catch {
      // Whatever broke it: it is opened again.
    }
    changed(false);
    await new Promise((resolve) => setTimeout(resolve, wait + Math.random() * 300));
    wait = Math.min(wait * 2, 5_000);
  }
}

export const clock = (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function copyable(text) {
  const button = el("button", { type: "button", onclick: async () => {
    await navigator.clipboard?.writeText(text).catch(() => undefined);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1_500);
  } }, "Copy");
  return el("div", { class: "code" }, el("pre", { tabindex: "0" }, text), button);
}
