// Fairway web chat. Made by widget/build.mjs from widget/*.js; do not edit. Apache-2.0
(() => {
"use strict";
const $words = (() => {
const WORDS = {
 title: "Chat with us",
 subtitle: "We usually answer within minutes",
 open: "Open chat",
 close: "Close chat",
 unread: "{n} unread",
 placeholder: "Write a message",
 label: "Your message",
 send: "Send",
 attach: "Attach a file",
 you: "You",
 us: "Support",
 conversation: "Conversation",
 earlier: "Show earlier messages",
 greeting: "Hello! How can we help?",
 typing: "{name} is typing",
 sending: "Sending",
 sent: "Sent",
 seen: "Seen",
 edited: "Edited",
 failed: "Not delivered.",
 retry: "Try again",
 remove: "Remove",
 offline: "You are offline. Messages are sent as soon as you are back.",
 connecting: "Connecting",
 back: "You are back online.",
 refused: "This chat cannot be used on this page.",
 expired: "Please sign in again to go on.",
 tooLarge: "This file is too large. The most is {max}.",
 uploading: "Uploading {name}: {percent} %",
 uploadFailed: "The file could not be sent.",
 file: "File",
 image: "Picture",
 picked: "You picked: {title}",
 copied: "Copied",
 location: "Your location",
 noLocation: "Your location cannot be read.",
 next: "Next",
 previous: "Previous",
 submit: "Submit",
 submitted: "Thank you. This was sent.",
 required: "Please fill in this field.",
 rate: "{n} of 5",
 options: "Options",
 unsupported: "This message cannot be shown here.",
 drop: "Drop files to send them",
};
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const RTL = ["ar", "fa", "he", "ur", "yi", "ps", "sd", "ug", "dv", "ckb"];
const direction = (locale) => (RTL.includes((locale || "").split("-")[0].toLowerCase()) ? "rtl" : "ltr");
const bytes = (size) => {
 const units = ["B", "KB", "MB", "GB"];
 let at = 0;
 while (size >= 1024 && at < units.length - 1) {
  size /= 1024;
  at += 1;
 }
 return `${size >= 10 || at === 0 ? Math.round(size) : size.toFixed(1)} ${units[at]}`;
};
return { WORDS, fill, direction, bytes };
})();
const $dom = (() => {
function el(tag, attributes = {}, ...children) {
 const node = document.createElement(tag);
 for (const [name, value] of Object.entries(attributes)) {
  if (value == null || value === false) continue;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name in PROPERTIES) node[name] = value;
  else node.setAttribute(name, value === true ? "" : value);
 }
 node.append(...children.flat(9).filter((c) => c != null && c !== false));
 return node;
}
const PROPERTIES = { textContent: 1, value: 1, disabled: 1, hidden: 1, htmlFor: 1, className: 1 };
const SVG = "http://www.w3.org/2000/svg";
function icon(path, size = 20) {
 const svg = document.createElementNS(SVG, "svg");
 const attributes = { viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor", "aria-hidden": "true" };
 for (const [name, value] of Object.entries({ ...attributes, "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round" })) {
  svg.setAttribute(name, value);
 }
 const shape = document.createElementNS(SVG, "path");
 shape.setAttribute("d", path);
 svg.append(shape);
 return svg;
}
const ICONS = {
 chat: "M21 12a8 8 0 0 1-8 8H4l2.2-3A8 8 0 1 1 21 12Z",
 close: "M6 6l12 12M18 6L6 18",
 send: "M12 19V5M5 12l7-7 7 7",
 clip: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.4 3.4 0 0 1 4.8 4.8l-8.4 8.4a1.7 1.7 0 0 1-2.4-2.4L14.5 7",
 file: "M14 3H6v18h12V7zM14 3v4h4",
 left: "M15 5l-7 7 7 7",
 right: "M9 5l7 7-7 7",
 pin: "M12 21s7-6.5 7-12a7 7 0 0 0-14 0c0 5.5 7 12 7 12ZM12 11.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
};
const SAFE = /^(https?:|mailto:|tel:)/i;
const safeUrl = (url, base) => {
 try {
  const whole = new URL(url, base);
  return SAFE.test(whole.protocol) ? whole.href : null;
 } catch {
  return null;
 }
};
const link = (href, ...children) => el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
const WEB = /\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g;
function plain(text) {
 const out = document.createDocumentFragment();
 let at = 0;
 for (const found of text.matchAll(WEB)) {
  out.append(text.slice(at, found.index), link(found[0], found[0]));
  at = found.index + found[0].length;
 }
 out.append(text.slice(at));
 return out;
}
const TAGS = new Set(["B", "STRONG", "I", "EM", "S", "DEL", "U", "CODE", "PRE", "BLOCKQUOTE", "BR", "P", "UL", "OL", "LI"]);
const NEVER = new Set(["SCRIPT", "STYLE", "TEMPLATE", "IFRAME", "OBJECT", "EMBED", "SVG", "MATH", "NOSCRIPT", "HEAD"]);
function rich(html) {
 const source = new DOMParser().parseFromString(html, "text/html").body;
 const out = document.createDocumentFragment();
 const copy = (from, into) => {
  for (const node of from.childNodes) {
   if (node.nodeType === Node.TEXT_NODE) into.append(node.data);
   if (node.nodeType !== Node.ELEMENT_NODE || NEVER.has(node.tagName.toUpperCase())) continue;
   let target = into;
   if (TAGS.has(node.tagName)) into.append((target = document.createElement(node.tagName)));
   const href = node.tagName === "A" && safeUrl(node.getAttribute("href") ?? "", "about:blank");
   if (href) into.append((target = link(href)));
   copy(node, target);
  }
 };
 copy(source, out);
 return out;
}
return { el, icon, ICONS, safeUrl, link, plain, rich };
})();
const $session = (() => {
const json = { "content-type": "application/json" };
class Refused extends Error {
 constructor(code, after) {
  super(code);
  this.code = code;
  this.after = after;
 }
}
class Session {
 constructor({ base, channel, storage, identity, locale }) {
  this.url = `${base}/webchat/${encodeURIComponent(channel)}`;
  this.key = `fairway-chat:${base}:${channel}`;
  this.identity = identity;
  this.locale = locale;
  try {
   this.store = storage === "session" ? window.sessionStorage : window.localStorage;
   this.store.getItem(this.key);
  } catch {
   const kept = new Map();
   this.store = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v), removeItem: (k) => kept.delete(k) };
  }
  this.info = null;
 }
 read(what) {
  try {
   return JSON.parse(this.store.getItem(`${this.key}:${what}`));
  } catch {
   return null;
  }
 }
 write(what, value) {
  try {
   if (value == null) this.store.removeItem(`${this.key}:${what}`);
   else this.store.setItem(`${this.key}:${what}`, JSON.stringify(value));
  } catch {
  }
 }
 get known() {
  return Boolean(this.read("token"));
 }
 get token() {
  return this.info?.token ?? this.read("token");
 }
 async proof() {
  return typeof this.identity === "function" ? this.identity() : this.identity;
 }
 async open() {
  const proof = await this.proof();
  const token = this.read("token");
  try {
   return await this.ask(proof ? { identity: proof, token } : { token });
  } catch (error) {
   if (!proof && token && ["session_invalid", "session_expired", "identity_expired"].includes(error.code)) {
    this.forget();
    return this.ask({});
   }
   if (error.code === "identity_expired" && typeof this.identity === "function") {
    return this.ask({ identity: await this.proof(), token });
   }
   throw error;
  }
 }
 async ask(wanted) {
  const body = { locale: this.locale };
  for (const [name, value] of Object.entries(wanted)) if (value) body[name] = value;
  const info = await request(`${this.url}/session`, { method: "POST", headers: json, body: JSON.stringify(body) });
  const before = this.read("session");
  if (before && before !== info.session) this.write("cursor", null);
  this.info = info;
  this.write("token", info.token);
  this.write("session", info.session);
  return info;
 }
 forget() {
  this.info = null;
  for (const what of ["token", "session", "cursor", "outbox"]) this.write(what, null);
 }
 headers() {
  return { authorization: `Bearer ${this.token}` };
 }
 upload(file, progress) {
  return new Promise((resolve, reject) => {
   const call = new XMLHttpRequest();
   call.open("POST", `${this.url}/upload?name=${encodeURIComponent(file.name || "file")}`);
   call.setRequestHeader("authorization", `Bearer ${this.token}`);
   call.setRequestHeader("content-type", file.type || "application/octet-stream");
   call.upload.onprogress = (e) => e.lengthComputable && progress(Math.round((100 * e.loaded) / e.total));
   call.onerror = () => reject(new Refused("network"));
   call.onload = () => {
    const body = parse(call.responseText);
    if (call.status < 300 && body) resolve(body);
    else reject(new Refused(body?.code ?? "network"));
   };
   call.send(file);
  });
 }
}
const parse = (text) => {
 try {
  return JSON.parse(text);
 } catch {
  return null;
 }
};
async function request(url, options = {}) {
 const answer = await fetch(url, { cache: "no-store", credentials: "omit", ...options });
 const body = parse(await answer.text());
 if (!answer.ok || !body) throw new Refused(body?.code ?? "network", 1000 * (Number(answer.headers.get("retry-after")) || 0));
 return body;
}
return { Refused, Session, request };
})();
const $link = (() => {
const { request } = $session;
const QUIET = 60_000; // The gateway shows that it is there every 25 s.
const GREETING = 8_000;
const LONGEST = 30_000;
const FALLBACK_AFTER = 2; // Sockets that never got a welcome, in a row.
const SOCKET_AGAIN = 90_000;
class Link {
 constructor(session, { cursor, heard, changed }) {
  Object.assign(this, { session, cursor, heard, changed });
  this.state = "offline";
  this.tries = 0;
  this.failed = 0;
  this.waiting = null;
  this.socket = null;
  this.polling = null;
  this.stopped = true;
  this.wake = () => (document.visibilityState === "hidden" ? undefined : this.hurry());
  this.away = () => this.lost();
 }
 start() {
  if (!this.stopped) return;
  this.stopped = false;
  addEventListener("online", this.wake);
  addEventListener("offline", this.away);
  document.addEventListener("visibilitychange", this.wake);
  this.connect();
 }
 stop() {
  this.stopped = true;
  removeEventListener("online", this.wake);
  removeEventListener("offline", this.away);
  document.removeEventListener("visibilitychange", this.wake);
  clearTimeout(this.waiting);
  this.drop();
  this.tell("offline");
 }
 tell(state) {
  if (state === this.state) return;
  this.state = state;
  this.changed(state);
 }
 hurry() {
  if (this.stopped || this.state === "online" || this.state === "refused") return;
  if (this.state === "connecting" && (this.socket || this.opening)) return;
  clearTimeout(this.waiting);
  this.connect();
 }
 async connect() {
  if (this.opening || this.stopped) return;
  this.opening = true;
  this.tell("connecting");
  try {
   if (!this.session.info || this.session.info.expires_at < new Date(Date.now() + 60_000).toISOString()) await this.session.open();
  } catch (error) {
   this.opening = false;
   return this.sessionFailed(error);
  }
  this.opening = false;
  if (this.stopped) return;
  const socketless = !("WebSocket" in window) || this.failed >= FALLBACK_AFTER;
  if (socketless && Date.now() - (this.fellBack ?? 0) < SOCKET_AGAIN) this.poll();
  else this.dial();
 }
 sessionFailed(error) {
  if (["identity_invalid", "identity_expired", "origin_not_allowed", "not_found"].includes(error.code)) {
   this.tell("refused");
   this.heard({ type: "refused", code: error.code });
  } else this.again(error.after);
 }
 dial() {
  const url = this.session.url.replace(/^http/, "ws");
  let socket;
  try {
   socket = new WebSocket(`${url}/socket`);
  } catch {
   this.failed = FALLBACK_AFTER;
   this.fellBack = Date.now();
   return this.poll();
  }
  this.socket = socket;
  let welcomed = false;
  const watch = (ms) => {
   clearTimeout(this.watchdog);
   this.watchdog = setTimeout(() => socket === this.socket && this.lost(), ms);
  };
  watch(GREETING);
  socket.onopen = () => socket.send(JSON.stringify({ type: "hello", token: this.session.token, cursor: this.cursor() }));
  socket.onmessage = (event) => {
   if (socket !== this.socket) return;
   watch(QUIET);
   const frame = JSON.parse(event.data);
   if (frame.type === "ping") return socket.send('{"type":"pong"}');
   if (frame.type === "restart") {
    this.drop();
    return this.again(frame.after_ms);
   }
   if (frame.type === "refused") {
    this.drop();
    this.session.info = null; // It asks for a session again, and gets a new one or a reason.
    return this.again(frame.retry_after_ms ?? 500);
   }
   if (frame.type === "welcome") {
    welcomed = true;
    this.tries = this.failed = 0;
    this.tell("online");
    return this.heard(frame);
   }
   this.heard(frame);
  };
  socket.onclose = () => {
   if (socket !== this.socket) return;
   if (!welcomed && navigator.onLine !== false) {
    this.failed += 1;
    if (this.failed === FALLBACK_AFTER) this.fellBack = Date.now();
   }
   this.lost();
  };
 }
 drop() {
  clearTimeout(this.watchdog);
  const socket = this.socket;
  this.socket = null;
  socket?.close();
  this.polling?.abort();
  this.polling = null;
 }
 lost() {
  this.drop();
  if (!this.stopped && this.state !== "refused") this.again();
 }
 again(after) {
  this.tell("offline");
  clearTimeout(this.waiting);
  const most = Math.min(LONGEST, 1_000 * 2 ** this.tries);
  this.tries = Math.min(this.tries + 1, 6);
  this.waiting = setTimeout(() => this.connect(), after ?? 200 + Math.random() * most);
 }
 async poll() {
  const polling = new AbortController();
  this.polling = polling;
  const get = (query) => request(`${this.session.url}/poll?${query}`, { headers: this.session.headers(), signal: polling.signal });
  try {
   const cursor = this.cursor();
   let page = await get(cursor == null ? "" : `cursor=${cursor}&wait=0`);
   while (polling === this.polling) {
    this.place = page.cursor;
    this.tries = 0;
    this.tell("online");
    page.frames.forEach((frame) => this.heard(frame));
    if (Date.now() - this.fellBack > SOCKET_AGAIN) {
     this.failed = 0;
     return this.lost();
    }
    page = await get(`cursor=${this.place}&wait=25`);
   }
  } catch (error) {
   if (polling !== this.polling) return;
   if (error.code?.startsWith("session") || error.code?.startsWith("identity")) this.session.info = null;
   this.lost();
  }
 }
 send(frame) {
  if (this.state !== "online") return false;
  if (this.socket) {
   if (this.socket.readyState !== WebSocket.OPEN) return false;
   this.socket.send(JSON.stringify(frame));
   return true;
  }
  const headers = { ...this.session.headers(), "content-type": "application/json" };
  request(`${this.session.url}/poll`, { method: "POST", headers, body: JSON.stringify({ frames: [frame] }) }).then(
   (answer) => answer.frames.forEach((heard) => this.heard(heard)),
   () => frame.client_id && this.heard({ type: "nack", client_id: frame.client_id, code: "network", retry_after_ms: 2_000 }),
  );
  return true;
 }
}
return { Link };
})();
const $thread = (() => {
const ACK_WITHIN = 10_000;
const TYPING_EVERY = 3_000;
const TYPING_ENDS = 5_000;
const newId = () => {
 const bytes = crypto.getRandomValues(new Uint8Array(12));
 return `c-${[...bytes].map((b) => b.toString(16).padStart(2, "0")).join("")}`;
};
class Thread {
 constructor(session, { changed, said, page }) {
  Object.assign(this, { session, changed, said, page });
  this.clear();
  this.pending = (session.read("outbox") ?? []).map((m) => ({ ...m, state: "sending" }));
 }
 clear() {
  this.messages = new Map(); // by id
  this.pending = [];
  this.cursor = null;
  this.seen = 0;
  this.readByUs = null;
  this.more = false;
  this.typingUntil = 0;
  this.drafts = new Map();
 }
 get list() {
  return [...this.messages.values()].sort((a, b) => a.seq - b.seq);
 }
 get unread() {
  let n = 0;
  for (const m of this.messages.values()) if (m.from === "us" && m.seq > this.seen) n += 1;
  return n;
 }
 answered(id) {
  const own = (m) => m.reply_to === id && m.content;
  return [...this.messages.values(), ...this.pending].find(own);
 }
 heard(frame) {
  switch (frame.type) {
   case "welcome":
    if (frame.reset) this.messages.clear();
    frame.gone?.forEach((id) => this.messages.delete(id));
    frame.frames.forEach((m) => this.keep(m));
    this.cursor = frame.cursor;
    this.seen = Math.max(frame.reset ? 0 : this.seen, frame.seen);
    this.readByUs = frame.read ?? this.readByUs;
    if (frame.reset) this.more = frame.more;
    this.arrived();
    this.flush();
    return this.changed("messages");
   case "history":
    frame.frames.forEach((m) => this.keep(m));
    this.more = frame.more;
    return this.changed("messages");
   case "message":
    return this.told(frame, this.messages.has(frame.id));
   case "gone":
    this.advance(frame.seq);
    if (!this.messages.delete(frame.id)) return undefined;
    this.said("message:removed", { id: frame.id });
    return this.changed("messages");
   case "typing":
    this.typingUntil = Date.now() + frame.for_ms;
    setTimeout(() => this.changed("typing"), frame.for_ms + 50);
    this.said("typing", {});
    return this.changed("typing");
   case "read":
    this.readByUs = frame.id;
    return this.changed("marks");
   case "seen":
    this.seen = Math.max(this.seen, frame.upto);
    return this.changed("unread");
   case "ack":
    return this.acknowledged(frame);
   case "nack":
    return this.refused(frame);
   default:
    return undefined;
  }
 }
 told(frame, known) {
  this.advance(frame.edited ?? frame.seq);
  if (!this.keep(frame)) return;
  if (known && frame.edited) this.said("message:changed", frame);
  else if (frame.from === "us") {
   this.typingUntil = 0;
   this.arrived();
   this.said("message:received", frame);
  }
  this.changed("messages");
 }
 advance(seq) {
  if (seq > (this.cursor ?? 0)) this.cursor = seq;
 }
 keep(message) {
  const known = this.messages.get(message.id);
  if (message.client_id) this.settle(message.client_id);
  const better = (known?.local && !message.local) || (message.edited ?? 0) > (known?.edited ?? 0);
  if (known && known.seq <= message.seq && !better) return false;
  this.messages.set(message.id, message);
  return true;
 }
 arrived() {
  clearTimeout(this.arriving);
  this.arriving = setTimeout(() => this.link?.send({ type: "delivered", upto: this.cursor }), 150);
 }
 look() {
  const newest = this.list.findLast?.((m) => m.from === "us") ?? this.list.filter((m) => m.from === "us").pop();
  if (!newest || newest.seq <= this.seen) return;
  if (!this.link?.send({ type: "read", upto: newest.seq })) return;
  this.seen = newest.seq;
  this.changed("unread");
 }
 write(content, { reply_to, preview } = {}) {
  const message = { type: "message", client_id: newId(), content, page: this.page(), at: new Date().toISOString(), state: "sending" };
  if (reply_to) message.reply_to = reply_to;
  if (preview) this.drafts.set(message.client_id, preview);
  this.pending.push(message);
  this.save();
  this.post(message);
  this.changed("messages");
  this.stopTyping();
  return message.client_id;
 }
 post(message) {
  const { type, client_id, content, page, reply_to } = message;
  clearTimeout(message.timer);
  message.state = "sending";
  if (!this.link?.send({ type, client_id, content, page, reply_to })) return;
  message.timer = setTimeout(() => this.fail(message), ACK_WITHIN);
 }
 fail(message) {
  if (!this.pending.includes(message)) return;
  message.state = this.link?.state === "online" ? "failed" : "sending";
  this.changed("messages");
 }
 flush() {
  this.pending.filter((m) => m.state !== "refused").forEach((m) => this.post(m));
 }
 retry(client_id) {
  const message = this.pending.find((m) => m.client_id === client_id);
  if (message) this.post(message);
  this.changed("messages");
 }
 discard(client_id) {
  this.settle(client_id);
  this.changed("messages");
 }
 settle(client_id) {
  const at = this.pending.findIndex((m) => m.client_id === client_id);
  if (at < 0) return null;
  const [message] = this.pending.splice(at, 1);
  clearTimeout(message.timer);
  this.save();
  return message;
 }
 acknowledged(ack) {
  const message = this.settle(ack.client_id);
  if (!message) return;
  this.keep({ ...message, seq: ack.seq ?? Number.MAX_SAFE_INTEGER, id: ack.id, at: ack.at ?? message.at, from: "visitor", local: true });
  this.said("message:sent", { id: ack.id, content: message.content });
  this.changed("messages");
 }
 refused(nack) {
  const message = this.pending.find((m) => m.client_id === nack.client_id);
  if (!message) return;
  clearTimeout(message.timer);
  if (nack.retry_after_ms) {
   message.timer = setTimeout(() => this.post(message), nack.retry_after_ms);
  } else {
   message.state = "refused";
   this.changed("messages");
  }
 }
 save() {
  this.session.write("outbox", this.pending.map(({ timer: _, ...message }) => message).slice(-50));
 }
 earlier() {
  const [first] = this.list;
  if (first) this.link?.send({ type: "history", before: first.seq });
 }
 typed() {
  const now = Date.now();
  if (now - (this.typedAt ?? 0) > TYPING_EVERY && this.link?.send({ type: "typing", on: true })) this.typedAt = now;
  clearTimeout(this.typingStops);
  this.typingStops = setTimeout(() => this.stopTyping(), TYPING_ENDS);
 }
 stopTyping() {
  clearTimeout(this.typingStops);
  if (!this.typedAt) return;
  this.typedAt = 0;
  this.link?.send({ type: "typing", on: false });
 }
 track(name, properties) {
  this.link?.send({ type: "track", client_id: newId(), name, properties: properties ?? {} });
 }
}
return { Thread };
})();
const $parts = (() => {
const { ICONS, el, icon, link, plain, rich, safeUrl } = $dom;
const { bytes, fill } = $words;
const fileUrl = (chat, media) => (media?.url?.startsWith("blob:") ? media.url : safeUrl(media?.url ?? "", chat.base));
function text(part) {
 return el("div", { className: "text" }, part.html ? rich(part.html) : plain(part.text ?? ""));
}
function caption(part) {
 return part.caption ? el("div", { className: "text" }, plain(part.caption)) : null;
}
function image(part, chat) {
 const url = fileUrl(chat, part.media);
 if (!url) return text({ text: chat.words.unsupported });
 const alt = part.caption || part.media.filename || chat.words.image;
 const picture = el("img", { src: url, alt, loading: "lazy", className: "picture", width: part.media.width, height: part.media.height });
 picture.addEventListener("error", () => picture.replaceWith(file(part, chat)));
 picture.addEventListener("load", () => chat.settled());
 return el("div", {}, link(url, picture), caption(part));
}
function sound(part, chat) {
 const url = fileUrl(chat, part.media);
 return url ? el("div", {}, el("audio", { src: url, controls: true, preload: "none" }), caption(part)) : null;
}
function video(part, chat) {
 const url = fileUrl(chat, part.media);
 return url ? el("div", {}, el("video", { src: url, controls: true, preload: "metadata", className: "picture" }), caption(part)) : null;
}
function file(part, chat) {
 const url = fileUrl(chat, part.media);
 const name = part.media?.filename || chat.words.file;
 const size = part.media?.size ? el("span", { className: "dim" }, ` ${bytes(part.media.size)}`) : null;
 const inside = [icon(ICONS.file), el("span", {}, name, size)];
 return el("div", {}, url ? Object.assign(link(url, ...inside), { className: "file" }) : el("span", { className: "file" }, ...inside), caption(part));
}
function place(part, chat) {
 const at = `${part.latitude},${part.longitude}`;
 const map = link(`https://www.openstreetmap.org/?mlat=${part.latitude}&mlon=${part.longitude}#map=16/${part.latitude}/${part.longitude}`);
 map.className = "file";
 map.append(icon(ICONS.pin), part.name || chat.words.location);
 map.title = at;
 return map;
}
function option(choice, message, chat, surface) {
 const words = [el("span", {}, choice.title), choice.description ? el("small", {}, choice.description) : null];
 const kind = choice.kind ?? "reply";
 if (kind === "url" || kind === "webview") {
  const href = safeUrl(choice.value ?? "", chat.base);
  return href ? Object.assign(link(href, ...words), { className: "option" }) : null;
 }
 if (kind === "call") return el("a", { href: `tel:${choice.value}`, className: "option" }, ...words);
 const press = {
  copy: () => navigator.clipboard?.writeText(choice.value ?? "").then(() => chat.say(chat.words.copied)),
  location: () => chat.sendLocation(message.id),
 }[kind];
 const how = kind === "postback" ? "postback" : kind === "date" ? "date" : surface;
 const pick = () => chat.pick({ surface: how, id: choice.id ?? choice.title, title: choice.title }, message.id);
 const done = chat.thread.answered(message.id)?.content;
 const picked = done?.kind === "choice" && done.id === (choice.id ?? choice.title);
 return el("button", { type: "button", className: picked ? "option picked" : "option", "aria-pressed": picked ? "true" : null, onclick: press ?? pick }, ...words);
}
function choices(part, message, chat) {
 const head = [
  part.header ? el("strong", {}, part.header) : null,
  part.media ? (part.media.mime_type ?? "image").startsWith("image") ? image({ media: part.media }, chat) : file({ media: part.media }, chat) : null,
  el("div", { className: "text" }, plain(part.text ?? "")),
  part.footer ? el("div", { className: "dim" }, part.footer) : null,
 ];
 if (part.layout === "quick_replies") return el("div", {}, head); // They stand below the conversation while they can be used.
 if (part.layout !== "list") return el("div", {}, head, el("div", { className: "options" }, part.options.map((o) => option(o, message, chat, "button"))));
 const rows = [];
 let section = null;
 for (const o of part.options) {
  if (o.section && o.section !== section) rows.push(el("div", { className: "section" }, (section = o.section)));
  rows.push(option(o, message, chat, "list"));
 }
 return el("div", {}, head, el("details", {}, el("summary", { className: "option" }, part.menu_label || chat.words.options), el("div", { className: "options" }, rows)));
}
function quickReplies(message, chat) {
 const part = message?.parts?.find((p) => p.type === "choices" && p.layout === "quick_replies");
 if (!part || chat.thread.answered(message.id)) return [];
 return part.options.map((o) => option(o, message, chat, "quick_reply"));
}
function card(part, message, chat) {
 return el(
  "div",
  { className: "card" },
  part.media ? image({ media: part.media }, chat) : null,
  el("strong", {}, part.title),
  part.text ? el("div", { className: "text" }, plain(part.text)) : null,
  part.options?.length ? el("div", { className: "options" }, part.options.map((o) => option(o, message, chat, "button"))) : null,
 );
}
function carousel(part, message, chat) {
 const row = el("ul", { className: "cards", tabindex: "0", "aria-label": part.text || chat.words.options });
 row.append(...part.cards.map((c) => el("li", {}, card(c, message, chat))));
 const move = (by) => () => row.scrollBy({ left: by * row.clientWidth * 0.8, behavior: chat.calm ? "auto" : "smooth" });
 const arrow = (path, label, by) => el("button", { type: "button", className: "round", "aria-label": label, onclick: move(by) }, icon(path, 16));
 const arrows = el("div", { className: "arrows" }, arrow(ICONS.left, chat.words.previous, -1), arrow(ICONS.right, chat.words.next, 1));
 return el("div", {}, part.text ? el("div", { className: "text" }, plain(part.text)) : null, row, part.cards.length > 1 ? arrows : null);
}
function form(part, message, chat) {
 const sent = chat.thread.answered(message.id)?.content;
 if (sent?.kind === "form") return el("div", { className: "dim" }, chat.words.submitted);
 const send = (fields) => chat.fillIn({ name: part.name, fields }, message.id);
 if (part.name === "csat" && !Array.isArray(part.fields)) {
  const stars = [1, 2, 3, 4, 5].map((n) =>
   el("button", { type: "button", className: "star", "aria-label": fill(chat.words.rate, { n }), onclick: () => send({ rating: n }) }, "★"),
  );
  return el("div", { className: "stars", role: "group" }, stars);
 }
 const fields = (Array.isArray(part.fields) ? part.fields : []).map((f, at) => {
  const id = `f-${message.id}-${at}`;
  const common = { id, name: f.name, required: f.required, "aria-required": f.required ? "true" : null };
  const limits = { minlength: f.min ?? f.minSize, maxlength: f.max ?? f.maxSize ?? 500, placeholder: f.placeholder };
  const choicesOf = (f.options ?? []).map((o) => el("option", { value: o.id ?? o.title ?? o }, o.title ?? o));
  const input =
   f.type === "select" ? el("select", common, el("option", { value: "" }, "…"), choicesOf)
   : f.type === "textarea" ? el("textarea", { ...common, ...limits })
   : el("input", { ...common, ...limits, type: ["email", "tel", "number", "date", "url"].includes(f.type) ? f.type : "text" });
  return [el("label", { htmlFor: id }, f.label ?? f.name), input];
 });
 const submit = (event) => {
  event.preventDefault();
  send(Object.fromEntries(new FormData(event.target)));
 };
 return el("form", { className: "form", onsubmit: submit }, fields, el("button", { className: "primary" }, part.submit_label ?? chat.words.submit));
}
function contacts(part) {
 return el("div", { className: "text" }, part.contacts.map((c) => el("div", {}, [c.name, ...(c.phones ?? []), ...(c.emails ?? [])].filter(Boolean).join(" · "))));
}
const PARTS = { text, image, sticker: image, audio: sound, voice: sound, video, file, location: place, contacts };
const ACTIVE = { choices, card, carousel, form };
function part(p, message, chat) {
 if (p.type === "typing") return null;
 if (ACTIVE[p.type]) return ACTIVE[p.type](p, message, chat);
 return (PARTS[p.type] ?? (() => text({ text: chat.words.unsupported })))(p, chat);
}
function content(c, message, chat) {
 if (c.kind === "text") return text(c);
 if (c.kind === "choice") return c.surface === "postback" ? null : text({ text: c.title ?? c.id ?? "" });
 if (c.kind === "form") return text({ text: Object.values(c.fields ?? {}).join(" · ") });
 if (c.kind === "location") return place(c, chat);
 const preview = chat.thread.drafts.get(message.client_id);
 const media = c.media ?? { filename: c.name, url: preview };
 return (PARTS[c.kind] ?? file)({ media: { ...media, url: preview ?? media.url }, caption: c.caption }, chat);
}
return { quickReplies, part, content };
})();
const $style = (() => {
const STYLE = `
:host { all: initial; --accent: #1d4ed8; --on-accent: #fff; --bg: #fff; --fg: #172033; --dim: #5a6478; --line: #dfe4ee; --them: #eef1f7;
 --bad: #b3261e; --radius: 16px; font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--fg);
 color-scheme: light; position: fixed; inset-block-end: 20px; inset-inline-end: 20px; z-index: 2147483000; }
:host([data-side="left"]) { inset-inline: 20px auto; }
:host([data-inline]) { position: static; display: block; height: 100%; min-height: 320px; }
:host([data-mode="dark"]) { --bg: #131927; --fg: #e9edf6; --dim: #a3adc2; --line: #2b3548; --them: #202a3d; --bad: #ff8a80;
 --accent: #7ea6ff; --on-accent: #0b1220; color-scheme: dark; }
@media (prefers-color-scheme: dark) { :host([data-mode="auto"]) { --bg: #131927; --fg: #e9edf6; --dim: #a3adc2; --line: #2b3548;
 --them: #202a3d; --bad: #ff8a80; --accent: #7ea6ff; --on-accent: #0b1220; color-scheme: dark; } }
* { box-sizing: border-box; font: inherit; color: inherit; margin: 0; }
[hidden] { display: none !important; }
button, summary { cursor: pointer; }
button { background: none; border: 0; padding: 0; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.hush { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.launcher { width: 60px; height: 60px; border-radius: 50%; background: var(--accent); color: var(--on-accent); display: grid; place-items: center;
 box-shadow: 0 6px 20px rgb(10 20 50 / 28%); position: relative; margin-inline-start: auto; transition: transform .15s; }
.launcher:hover { transform: scale(1.05); }
.badge { position: absolute; inset-block-start: -4px; inset-inline-end: -4px; min-width: 22px; height: 22px; padding: 0 6px; border-radius: 11px;
 background: var(--bad); color: var(--bg); font-size: 13px; font-weight: 700; display: grid; place-items: center; }
.panel { width: min(390px, calc(100vw - 24px)); height: min(620px, calc(100dvh - 120px)); margin-block-end: 14px; background: var(--bg);
 border: 1px solid var(--line); border-radius: var(--radius); box-shadow: 0 14px 44px rgb(10 20 50 / 24%); display: flex; flex-direction: column;
 overflow: hidden; position: relative; animation: rise .18s ease-out; }
:host([data-inline]) .panel { width: 100%; height: 100%; margin: 0; box-shadow: none; animation: none; }
@keyframes rise { from { opacity: 0; transform: translateY(10px); } }
header { display: flex; align-items: center; gap: 12px; padding: 14px 16px; border-block-end: 1px solid var(--line); }
header h2 { font-size: 16px; font-weight: 650; line-height: 1.25; }
header p { font-size: 13px; color: var(--dim); }
header div { flex: 1; min-width: 0; }
.round { width: 38px; height: 38px; border-radius: 50%; display: grid; place-items: center; color: var(--dim); flex: none; }
.round:hover { background: var(--them); color: var(--fg); }
.log { flex: 1; overflow-y: auto; padding: 16px; display: flex; flex-direction: column; gap: 4px; overscroll-behavior: contain; }
.earlier { align-self: center; color: var(--accent); padding: 6px 12px; font-size: 14px; }
.row { display: flex; flex-direction: column; align-items: flex-start; max-width: 86%; margin-block-start: 6px; }
.row.me { align-self: flex-end; align-items: flex-end; }
.row.wide { max-width: 100%; width: 100%; }
.who { font-size: 12px; color: var(--dim); margin: 4px 4px 2px; }
.bubble { background: var(--them); border-radius: 16px 16px 16px 5px; padding: 9px 13px; overflow-wrap: anywhere; min-width: 0; max-width: 100%; }
.me .bubble { background: var(--accent); color: var(--on-accent); border-radius: 16px 16px 5px 16px; }
.bubble + .bubble { margin-block-start: 3px; }
.text { white-space: pre-wrap; } .text p + p { margin-block-start: 8px; } b, strong { font-weight: 650; } i, em { font-style: italic; }
pre, code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 13px; } pre { overflow-x: auto; white-space: pre; }
blockquote { border-inline-start: 3px solid var(--line); padding-inline-start: 10px; }
.text ul, .text ol { padding-inline-start: 20px; white-space: normal; }
.bubble a { text-decoration: underline; text-underline-offset: 2px; }
.dim, small { color: var(--dim); font-size: 13px; } .me .dim { color: inherit; opacity: .85; }
.picture { display: block; max-width: 100%; max-height: 260px; width: auto; height: auto; border-radius: 10px; }
audio { width: 240px; max-width: 100%; }
.bubble a.file, .file { display: flex; gap: 8px; align-items: center; text-decoration: none; font-weight: 550; }
.file svg { flex: none; }
.state { font-size: 12px; color: var(--dim); margin: 2px 4px 0; display: flex; gap: 8px; }
.state.bad { color: var(--bad); } .state button { text-decoration: underline; }
.options { display: flex; flex-direction: column; gap: 6px; margin-block-start: 8px; }
.option, .bubble a.option { border: 1.5px solid var(--accent); color: var(--accent); background: var(--bg); border-radius: 12px; padding: 8px 14px;
 text-align: center; font-weight: 550; min-height: 40px; text-decoration: none; display: flex; flex-direction: column; justify-content: center; }
.option:hover, .option.picked { background: var(--accent); color: var(--on-accent); } .option:hover small, .option.picked small { color: inherit; }
details > summary { list-style: none; margin-block-start: 8px; }
.section { font-size: 13px; color: var(--dim); margin-block-start: 6px; }
.quick { display: flex; flex-wrap: wrap; gap: 8px; padding: 0 16px 10px; justify-content: flex-end; }
.quick .option { border-radius: 20px; padding: 6px 14px; }
.cards { list-style: none; display: flex; gap: 10px; overflow-x: auto; padding: 4px; scroll-snap-type: x proximity; margin-block-start: 6px; }
.cards li { flex: 0 0 min(220px, 78%); scroll-snap-align: start; }
.card { background: var(--bg); border: 1px solid var(--line); border-radius: 12px; padding: 10px; height: 100%; }
.arrows { display: flex; justify-content: flex-end; }
.form { display: flex; flex-direction: column; gap: 5px; min-width: 210px; } .form label { font-size: 13px; font-weight: 550; margin-block-start: 4px; }
.form input, .form select, .form textarea { border: 1px solid var(--dim); border-radius: 8px; padding: 8px 10px; background: var(--bg); width: 100%; }
.primary { background: var(--accent); color: var(--on-accent); border-radius: 10px; padding: 9px 14px; font-weight: 600; margin-block-start: 8px; }
.stars { display: flex; gap: 4px; } .star { font-size: 28px; line-height: 1; color: var(--dim); padding: 4px; } .star:hover, .star:focus { color: #e0a100; }
.typing { padding: 0 20px 8px; font-size: 13px; color: var(--dim); display: flex; gap: 8px; align-items: center; }
.dots { display: inline-flex; gap: 3px; } .dots i { width: 6px; height: 6px; border-radius: 50%; background: var(--dim); animation: blink 1.2s infinite; }
.dots i:nth-child(2) { animation-delay: .2s; } .dots i:nth-child(3) { animation-delay: .4s; } @keyframes blink { 50% { opacity: .25; } }
.bar { padding: 7px 16px; font-size: 13px; background: var(--them); color: var(--dim); border-block-start: 1px solid var(--line); }
.composer { display: flex; gap: 6px; align-items: flex-end; padding: 10px 10px 10px 8px; border-block-start: 1px solid var(--line); }
.composer textarea { flex: 1; min-width: 0; resize: none; border: 0; background: none; padding: 8px 4px; max-height: 130px; min-height: 38px; outline-offset: 0; border-radius: 8px; }
.composer textarea::placeholder { color: var(--dim); opacity: 1; }
.round.go { background: var(--accent); color: var(--on-accent); } .round.go:disabled { background: var(--them); color: var(--dim); cursor: default; }
.drop { position: absolute; inset: 8px; border: 2px dashed var(--accent); border-radius: 12px; background: color-mix(in srgb, var(--bg) 88%, transparent);
 display: grid; place-items: center; font-weight: 600; pointer-events: none; }
progress { width: 100%; height: 6px; accent-color: var(--accent); }
@media (max-width: 480px) {
 :host(:not([data-inline])) { inset-block-end: 12px; inset-inline: auto 12px; }
 :host(:not([data-inline])[data-open]) { inset: 0; }
 :host(:not([data-inline])) .panel { width: 100vw; height: 100dvh; border: 0; border-radius: 0; margin: 0; }
 :host(:not([data-inline])[data-open]) .launcher { display: none; }
}
@media (prefers-reduced-motion: reduce) { *, .panel { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .bubble, .option, .launcher, .round { border: 1px solid; } }
`;
return { STYLE };
})();
const $view = (() => {
const { ICONS, el, icon } = $dom;
const { content, part, quickReplies } = $parts;
const { STYLE } = $style;
const { bytes, fill } = $words;
const NEAR_END = 60;
class View {
 constructor(chat, { target, launcher, theme, title, subtitle, locale, dir }) {
  this.chat = chat;
  this.inline = Boolean(target);
  this.host = document.createElement("div");
  this.host.className = "fairway-chat";
  this.host.lang = locale;
  this.host.dir = dir;
  this.host.dataset.mode = theme.mode ?? "auto";
  this.host.dataset.side = theme.position ?? "right";
  if (this.inline) this.host.dataset.inline = "";
  this.root = this.host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  const own = new CSSStyleSheet();
  if (theme.accent && CSS.supports("color", theme.accent)) {
   own.replaceSync(`:host { --accent: ${theme.accent} !important; --on-accent: ${theme.onAccent ?? "#fff"} !important; }`);
  }
  this.root.adoptedStyleSheets = [sheet, own];
  this.build(launcher, title, subtitle);
  (target ?? document.body).append(this.host);
  this.drawn = new Map();
  this.seenBefore = new Set();
  this.title = document.title;
  this.onShow = () => this.look();
  document.addEventListener("visibilitychange", this.onShow);
  addEventListener("focus", this.onShow);
 }
 build(launcher, title, subtitle) {
  const { words } = this.chat;
  this.badge = el("span", { className: "badge", hidden: true, "aria-hidden": "true" });
  this.launcher = el("button", { type: "button", className: "launcher", "aria-expanded": "false", "aria-controls": "panel", onclick: () => this.chat.toggle() });
  this.launcher.append(icon(ICONS.chat, 28), this.badge);
  this.launcher.hidden = launcher === false;
  this.log = el("div", { className: "log", role: "log", "aria-live": "polite", "aria-label": words.conversation, tabindex: "0" });
  this.log.addEventListener("scroll", () => this.look(), { passive: true });
  this.earlier = el("button", { type: "button", className: "earlier", hidden: true, onclick: () => this.chat.thread.earlier() }, words.earlier);
  this.quick = el("div", { className: "quick", hidden: true, role: "group", "aria-label": words.options });
  this.typing = el("div", { className: "typing", hidden: true });
  this.bar = el("div", { className: "bar", hidden: true });
  this.said = el("div", { className: "hush", role: "status" });
  this.box = el("textarea", { rows: "1", placeholder: words.placeholder, "aria-label": words.label, maxlength: "12000", enterkeyhint: "send" });
  this.box.addEventListener("input", () => this.typed());
  this.box.addEventListener("keydown", (e) => {
   if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
    e.preventDefault();
    this.submit();
   }
  });
  this.box.addEventListener("paste", (e) => e.clipboardData?.files.length && (e.preventDefault(), this.files(e.clipboardData.files)));
  this.picker = el("input", { type: "file", multiple: true, hidden: true, "aria-hidden": "true", tabindex: "-1" });
  this.picker.addEventListener("change", () => (this.files(this.picker.files), (this.picker.value = "")));
  this.send = el("button", { className: "round go", "aria-label": words.send, disabled: true }, icon(ICONS.send));
  const attach = el("button", { type: "button", className: "round", "aria-label": words.attach, onclick: () => this.picker.click() }, icon(ICONS.clip));
  const form = el("form", { className: "composer", onsubmit: (e) => (e.preventDefault(), this.submit()) }, attach, this.picker, this.box, this.send);
  const close = el("button", { type: "button", className: "round", "aria-label": words.close, onclick: () => this.chat.close() }, icon(ICONS.close));
  close.hidden = this.inline;
  const head = el("header", {}, el("div", {}, el("h2", { id: "title" }, title), el("p", {}, subtitle)), close);
  this.drop = el("div", { className: "drop", hidden: true }, words.drop);
  this.uploads = el("div", {});
  const role = this.inline ? "region" : "dialog";
  this.panel = el("section", { className: "panel", id: "panel", role, "aria-labelledby": "title", hidden: true });
  this.panel.append(head, this.log, this.quick, this.typing, this.uploads, this.bar, form, this.drop, this.said);
  this.panel.addEventListener("keydown", (e) => {
   if (e.key === "Escape" && !this.inline) {
    e.stopPropagation();
    this.chat.close();
   }
  });
  const carries = (e) => e.dataTransfer?.types.includes("Files");
  this.panel.addEventListener("dragover", (e) => carries(e) && (e.preventDefault(), (this.drop.hidden = false)));
  this.panel.addEventListener("dragleave", (e) => !this.panel.contains(e.relatedTarget) && (this.drop.hidden = true));
  this.panel.addEventListener("drop", (e) => carries(e) && (e.preventDefault(), (this.drop.hidden = true), this.files(e.dataTransfer.files)));
  this.root.append(this.panel, ...(this.inline ? [] : [this.launcher]));
  this.log.append(this.earlier);
 }
 show(open, focus = true) {
  this.panel.hidden = !open;
  this.host.toggleAttribute("data-open", open);
  this.launcher.setAttribute("aria-expanded", String(open));
  this.unread();
  if (open) {
   this.draw();
   this.log.scrollTop = this.log.scrollHeight;
   if (focus) this.box.focus();
   this.look();
  } else if (focus) this.launcher.focus();
 }
 typed() {
  this.send.disabled = !this.box.value.trim();
  this.box.style.height = "auto";
  this.box.style.height = `${Math.min(this.box.scrollHeight, 130)}px`;
  if (this.box.value) this.chat.thread.typed();
 }
 submit() {
  const text = this.box.value.trim();
  if (!text) return;
  this.box.value = "";
  this.typed();
  this.chat.write({ kind: "text", text });
  this.box.focus();
 }
 files(list) {
  for (const file of list) this.chat.sendFile(file);
 }
 upload(name) {
  const { words } = this.chat;
  const meter = el("progress", { max: "100", value: 0, "aria-label": fill(words.uploading, { name, percent: 0 }) });
  const text = el("span", {}, fill(words.uploading, { name, percent: 0 }));
  const line = el("div", { className: "bar" }, text, meter);
  this.uploads.append(line);
  return {
   progress: (percent) => {
    meter.value = percent;
    text.textContent = fill(words.uploading, { name, percent });
   },
   end: () => line.remove(),
  };
 }
 draw() {
  if (this.panel.hidden) return;
  const { thread, words } = this.chat;
  const atEnd = this.atEnd();
  const list = [...thread.list, ...thread.pending];
  const wanted = new Map();
  const lastOwn = list.filter((m) => m.from !== "us" && m.content?.surface !== "postback").pop();
  let author = null;
  if (!list.length && words.greeting) list.unshift({ id: "greeting", from: "us", parts: [{ type: "text", text: words.greeting }], local: true });
  for (const message of list) {
   const name = message.from === "us" ? message.author?.name || words.us : words.you;
   const key = this.key(message, message === lastOwn, author !== name);
   wanted.set(message.client_id ?? message.id, { key, message, named: author !== name, last: message === lastOwn, name });
   author = name;
  }
  for (const [id, row] of this.drawn) {
   if (!wanted.has(id)) {
    row.node.remove();
    this.drawn.delete(id);
   }
  }
  let after = this.earlier;
  for (const [id, want] of wanted) {
   let row = this.drawn.get(id);
   if (!row || row.key !== want.key) {
    const node = this.row(want);
    if (row) row.node.replaceWith(node);
    row = { node, key: want.key };
    this.drawn.set(id, row);
   }
   if (after.nextSibling !== row.node) after.after(row.node);
   after = row.node;
  }
  this.earlier.hidden = !thread.more;
  const newest = thread.pending.length ? null : thread.list.pop();
  this.quick.replaceChildren(...quickReplies(newest, this.chat));
  this.quick.hidden = !this.quick.children.length;
  this.signs();
  if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  this.look();
 }
 key(message, last, named) {
  const { thread } = this.chat;
  const answer = message.parts ? thread.answered(message.id) : null;
  const seen = last && this.isSeen(message);
  return [message.seq, message.edited, message.state, last, named, seen, Boolean(answer), message.local].join();
 }
 isSeen(message) {
  const { messages, readByUs } = this.chat.thread;
  const upto = messages.get(readByUs)?.seq ?? 0;
  return message.seq && message.seq <= upto;
 }
 row({ message, named, last, name }) {
  const { words } = this.chat;
  const mine = message.from !== "us";
  const bodies = mine ? [content(message.content ?? {}, message, this.chat)] : message.parts.map((p) => part(p, message, this.chat));
  const shown = bodies.filter(Boolean);
  const wide = !mine && message.parts.some((p) => p.type === "carousel");
  const time = message.at ? new Date(message.at).toLocaleTimeString(this.host.lang || undefined, { hour: "2-digit", minute: "2-digit" }) : "";
  const row = el("div", { className: `row${mine ? " me" : ""}${wide ? " wide" : ""}`, title: time, hidden: !shown.length });
  const who = named && !mine ? el("div", { className: "who" }, name) : el("span", { className: "hush" }, `${name}: `);
  row.append(who, ...shown.map((b) => el("div", { className: "bubble" }, b)));
  if (mine) row.append(...this.state(message, last, words));
  else if (message.edited) row.append(el("div", { className: "state" }, words.edited));
  return row;
 }
 state(message, last, words) {
  if (message.state === "failed" || message.state === "refused") {
   const act = (label, what) => el("button", { type: "button", onclick: () => this.chat.thread[what](message.client_id) }, label);
   return [el("div", { className: "state bad" }, words.failed, message.state === "failed" ? act(words.retry, "retry") : null, act(words.remove, "discard"))];
  }
  if (message.state === "sending" && !message.seq) return [el("div", { className: "state" }, words.sending)];
  return last ? [el("div", { className: "state" }, this.isSeen(message) ? words.seen : words.sent)] : [];
 }
 signs() {
  const { thread, words } = this.chat;
  const types = thread.typingUntil > Date.now();
  const name = thread.list.filter((m) => m.from === "us" && m.author?.name).pop()?.author.name ?? words.us;
  if (types && this.typing.hidden) this.typing.replaceChildren(el("span", { className: "dots" }, el("i"), el("i"), el("i")), fill(words.typing, { name }));
  this.typing.hidden = !types;
 }
 atEnd() {
  return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_END;
 }
 settled() {
  if (this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 360) this.log.scrollTop = this.log.scrollHeight;
 }
 look() {
  clearTimeout(this.looking);
  const looks = () => !this.panel.hidden && document.visibilityState === "visible" && this.atEnd();
  if (looks()) this.looking = setTimeout(() => looks() && this.chat.thread.look(), 400);
 }
 unread() {
  const { words, thread } = this.chat;
  const n = thread.unread;
  this.badge.hidden = !n || !this.panel.hidden;
  this.badge.textContent = n > 99 ? "99+" : String(n);
  const open = !this.panel.hidden;
  const label = open ? words.close : n ? `${words.open}, ${fill(words.unread, { n })}` : words.open;
  this.launcher.setAttribute("aria-label", label);
  const away = n && (!open || document.visibilityState !== "visible");
  const wanted = away ? `(${n}) ${this.title}` : this.title;
  if (document.title !== wanted && (away || document.title.startsWith("("))) document.title = wanted;
 }
 status(text) {
  this.bar.textContent = text ?? "";
  this.bar.hidden = !text;
 }
 say(text) {
  this.said.textContent = text;
 }
 tooLarge(max) {
  const text = fill(this.chat.words.tooLarge, { max: bytes(max) });
  this.status(text);
  this.say(text);
  setTimeout(() => this.status(this.chat.connection()), 5_000);
 }
 remove() {
  document.removeEventListener("visibilitychange", this.onShow);
  removeEventListener("focus", this.onShow);
  this.host.remove();
  document.title = this.title;
 }
}
return { View };
})();
const $index = (() => {
const { Link } = $link;
const { Session } = $session;
const { Thread } = $thread;
const { View } = $view;
const { WORDS, direction } = $words;
const SCRIPT = document.currentScript;
class Chat {
 constructor(options) {
  const { channel, base, locale = navigator.language, words = {}, theme = {}, target, storage, identity } = options;
  this.base = (base ?? (SCRIPT?.src ? new URL(SCRIPT.src).origin : location.origin)).replace(/\/$/, "");
  this.words = { ...WORDS, ...words, ...(options.greeting === undefined ? {} : { greeting: options.greeting }) };
  this.listeners = new Map();
  this.isOpen = false;
  this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  this.session = new Session({ base: this.base, channel, storage, identity, locale });
  const page = () => ({ url: location.href, title: document.title.replace(/^\(\d+\) /, ""), referrer: document.referrer || undefined });
  this.thread = new Thread(this.session, { changed: (what) => this.changed(what), said: (event, value) => this.emit(event, value), page });
  const where = typeof target === "string" ? document.querySelector(target) : target;
  const title = options.title ?? this.words.title;
  const subtitle = options.subtitle ?? this.words.subtitle;
  this.view = new View(this, { target: where, launcher: options.launcher, theme, title, subtitle, locale, dir: options.dir ?? direction(locale) });
  this.link = new Link(this.session, {
   cursor: () => this.thread.cursor,
   heard: (frame) => this.heard(frame),
   changed: (state) => this.connected(state),
  });
  this.thread.link = this.link;
  this.view.unread();
  if (options.open || where) this.open(Boolean(options.focus));
  else if (this.session.known || identity) this.link.start();
  queueMicrotask(() => this.emit("ready", {}));
 }
 heard(frame) {
  if (frame.type === "refused") {
   this.emit("refused", { code: frame.code });
   this.view.status(frame.code.startsWith("identity") ? this.words.expired : this.words.refused);
   return;
  }
  this.thread.heard(frame);
 }
 changed(what) {
  if (what === "typing") this.view.signs();
  else this.view.draw();
  this.view.unread();
  const unread = this.thread.unread;
  if (unread !== this.told) this.emit("unread", { count: (this.told = unread) });
 }
 connection() {
  if (this.link.state === "online" || this.link.state === "refused") return null;
  return navigator.onLine === false || this.wasOnline ? this.words.offline : null;
 }
 connected(state) {
  if (state === "refused") return;
  clearTimeout(this.telling);
  if (state === "online") {
   if (this.toldOffline) this.view.say(this.words.back);
   this.wasOnline = true;
   this.toldOffline = false;
   this.view.status(null);
   this.emit("connected", {});
  } else if (state === "offline") {
   this.emit("disconnected", {});
   this.telling = setTimeout(() => {
    if (this.link.state !== "online" && this.connection()) {
     this.toldOffline = true;
     this.view.status(this.connection());
    }
   }, 1_500);
  }
 }
 open(focus = true) {
  if (this.isOpen) return;
  this.isOpen = true;
  this.link.start();
  this.view.show(true, focus);
  this.emit("open", {});
 }
 close() {
  if (!this.isOpen || this.view.inline) return;
  this.isOpen = false;
  this.view.show(false);
  this.emit("close", {});
 }
 toggle() {
  if (this.isOpen) this.close();
  else this.open();
 }
 write(content, more) {
  this.link.start();
  if (this.isOpen) this.thread.look();
  return this.thread.write(content, more);
 }
 pick(choice, reply_to) {
  this.write({ kind: "choice", ...choice }, { reply_to });
  this.view.box.focus();
 }
 fillIn(form, reply_to) {
  this.write({ kind: "form", ...form }, { reply_to });
  this.view.box.focus();
 }
 sendLocation(reply_to) {
  const read = ({ coords }) => this.write({ kind: "location", latitude: coords.latitude, longitude: coords.longitude }, { reply_to });
  navigator.geolocation?.getCurrentPosition(read, () => this.view.status(this.words.noLocation));
 }
 async sendFile(file) {
  const max = this.session.info?.max_upload ?? Infinity;
  if (file.size > max) return this.view.tooLarge(max);
  const line = this.view.upload(file.name);
  try {
   const kept = await this.session.upload(file, line.progress);
   const kind = ["image", "audio", "video"].find((k) => kept.mime_type.startsWith(`${k}/`)) ?? "file";
   const preview = kind === "image" ? URL.createObjectURL(file) : null;
   this.write({ kind, file: kept.file, name: kept.filename }, { preview });
  } catch {
   this.view.status(this.words.uploadFailed);
   this.view.say(this.words.uploadFailed);
  }
  return line.end();
 }
 settled() {
  this.view.settled();
 }
 say(text) {
  this.view.say(text);
 }
 send(content) {
  return this.write(typeof content === "string" ? { kind: "text", text: content } : content);
 }
 track(name, properties) {
  this.thread.track(name, properties);
 }
 login(proof) {
  this.session.identity = proof;
  this.restart();
 }
 logout() {
  this.session.identity = null;
  this.session.forget();
  this.restart();
 }
 restart() {
  const wanted = this.isOpen || Boolean(this.session.identity);
  this.link.stop();
  this.session.info = null;
  this.thread.clear();
  this.changed("messages");
  this.view.status(null);
  if (wanted) this.link.start();
 }
 on(event, act) {
  if (!this.listeners.has(event)) this.listeners.set(event, new Set());
  this.listeners.get(event).add(act);
 }
 off(event, act) {
  if (act) this.listeners.get(event)?.delete(act);
  else this.listeners.delete(event);
 }
 emit(event, value) {
  for (const act of this.listeners.get(event) ?? []) {
   try {
    act(value);
   } catch (error) {
    console.error(error);
   }
  }
 }
 destroy() {
  this.link.stop();
  this.view.remove();
  this.listeners.clear();
 }
}
let chat = null;
const early = [];
const api = {
 init(options = {}) {
  chat?.destroy();
  chat = new Chat(options);
  early.splice(0).forEach(([event, act]) => chat.on(event, act));
  return api;
 },
 on: (event, act) => (chat ? chat.on(event, act) : early.push([event, act]), api),
 off: (event, act) => (chat?.off(event, act), api),
 destroy: () => {
  chat?.destroy();
  chat = null;
 },
 get isOpen() {
  return chat?.isOpen ?? false;
 },
 get unread() {
  return chat?.thread.unread ?? 0;
 },
 get session() {
  return chat?.session.info?.session ?? null;
 },
 get address() {
  return chat?.session.info?.address ?? null;
 },
};
for (const act of ["open", "close", "toggle", "login", "logout", "send", "track"]) api[act] = (...given) => chat?.[act](...given);
const queued = Array.isArray(window.FairwayChat) ? window.FairwayChat : [];
window.FairwayChat = api;
const begin = () => {
 const { channel, open, target, title, subtitle, accent, mode, position, locale, launcher } = SCRIPT?.dataset ?? {};
 if (channel) {
  api.init({ channel, open: open === "true", target, title, subtitle, locale: locale || undefined, launcher: launcher !== "false", theme: { accent, mode, position } });
 }
 for (const [act, ...given] of queued) api[act]?.(...given);
};
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
return {  };
})();
})();
