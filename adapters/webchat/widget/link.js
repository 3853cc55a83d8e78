// The connection: a socket where it can be had, long polls where it cannot. Whatever breaks, it comes back by itself, each
// time a little later and never all visitors at once, and says the last number it has.

import { request } from "./session.js";

const QUIET = 60_000; // The gateway shows that it is there every 25 s.
const GREETING = 8_000;
const LONGEST = 30_000;
const FALLBACK_AFTER = 2; // Sockets that never got a welcome, in a row.
const SOCKET_AGAIN = 90_000;

export class Link {
  // heard(frame), changed(state): "connecting" | "online" | "offline" | "refused"
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
        // First the state, then the frame: what waited is sent as soon as the welcome is heard.
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

  // Full jitter: a thousand tabs that lost their gateway in one second do not come back in one second.
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

  // True when it was handed to the network; its acknowledgement comes as a frame.
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
