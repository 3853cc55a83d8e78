// The page's side: FairwayChat.init, open, close, toggle, login, logout, send, track, on, off, destroy. Calls made before
// this script has loaded are kept by the page as `window.FairwayChat = [["open"], ...]` and made now.

import { Link } from "./link.js";
import { Session } from "./session.js";
import { Thread } from "./thread.js";
import { View } from "./view.js";
import { WORDS, direction } from "./words.js";

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
    // A visitor nobody knows yet costs nothing until he opens the chat.
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
      // A hiccup of a second is nobody's business.
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
    // Who answers has read what he answers.
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

  // The page sends for the visitor: a text, or a content object.
  send(content) {
    return this.write(typeof content === "string" ? { kind: "text", text: content } : content);
  }

  track(name, properties) {
    this.thread.track(name, properties);
  }

  // `proof`: the JWT, or a function that fetches one and is asked again when it has expired.
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
