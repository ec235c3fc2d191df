// The browser's client of the sidecar: one WebSocket for all charts; see docs/stream-protocol.md.
// Belongs here: applying frames, connecting again, telling the state. Does not: drawing, the page.

// The points of one series in order of time, one per instant: what comes twice counts once.
class SeriesPoints {
  constructor(row) {
    this.ref = row.ref;
    this.metric = row.metric;
    this.labels = row.labels;
    this.agent = row.source_agent_id;
    this.instance = row.instance_id;
    this.at = [];
    this.value = [];
  }

  put(at, value) {
    const last = this.at.length - 1;
    if (last < 0 || at > this.at[last]) {
      this.at.push(at);
      this.value.push(value);
      return;
    }
    const place = lowerBound(this.at, at);
    if (this.at[place] === at) {
      this.value[place] = value;
    } else {
      this.at.splice(place, 0, at);
      this.value.splice(place, 0, value);
    }
  }

  dropBefore(at) {
    const place = lowerBound(this.at, at);
    if (place > 0) {
      this.at.splice(0, place);
      this.value.splice(0, place);
    }
  }
}

// The first place in an ascending array whose element is not below `wanted`.
function lowerBound(sorted, wanted) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

// A channel as it is known here.
class ChannelView {
  constructor() {
    this.series = new Map();
    this.position = null;
    this.leftOut = 0;
    this.windowMs = 0;
    this.version = 0;
  }

  snapshot(frame) {
    this.series.clear();
    this.windowMs = frame.window_s * 1000;
    this.position = { epoch: frame.epoch, offset: frame.offset };
    this.take(frame);
  }

  // False where a delta before this one is missing.
  delta(frame) {
    if (!this.position || frame.offset > this.position.offset + 1) return false;
    if (frame.offset === this.position.offset + 1) {
      this.position.offset = frame.offset;
      this.take(frame);
    }
    return true;
  }

  take(frame) {
    for (const row of frame.series ?? []) {
      if (!this.series.has(row.ref)) this.series.set(row.ref, new SeriesPoints(row));
    }
    for (const ref of frame.gone ?? []) this.series.delete(ref);
    for (const [ref, ages, values] of frame.points) {
      const series = this.series.get(ref);
      if (series) ages.forEach((age, index) => series.put(frame.at_ms - age, values[index]));
    }
    this.leftOut = frame.left_out ?? 0;
    this.version += 1;
  }

  dropBefore(at) {
    for (const series of this.series.values()) series.dropBefore(at);
  }
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const QUIET_PING_MS = 5_000;
const QUIET_LOST_MS = 15_000;
const TOO_MANY_VIEWERS = 1013;
const NOT_ALLOWED = 1008;

// The connection. `changed` is called when anything that is shown may have changed.
class Stream {
  constructor(url, changed) {
    this.url = url;
    this.changed = changed;
    this.views = new Map(); // channel as JSON -> {id, channel, view, users}
    this.byNumber = new Map();
    this.lastId = 0;
    this.attempts = 0;
    this.everOpen = false;
    this.problem = "";
    this.live = false;
    this.ticket = "";
    this.reason = "";
    this.retryAt = 0;
    this.heardAt = 0;
    this.newestAt = 0;
    this.clockSkew = null;
    this.closed = false;
    this.onWake = () => this.wake();
    window.addEventListener("online", this.onWake);
    document.addEventListener("visibilitychange", this.onWake);
    this.timer = setInterval(() => this.watch(), 1000);
    this.connect();
  }

  // The sidecar's time in ms: its frames carry it; the one that travelled shortest is nearest the truth.
  now() {
    return Date.now() + (this.clockSkew ?? 0);
  }

  // "connecting", "live", "stale" (connected, but the sidecar gets no samples) or "reconnecting".
  get state() {
    if (this.socket?.readyState === WebSocket.OPEN && this.greeted) return this.live ? "live" : "stale";
    return this.everOpen || this.attempts > 1 ? "reconnecting" : "connecting";
  }

  // The view of a channel, subscribed to while someone uses it.
  use(channel) {
    const key = JSON.stringify(channel);
    let entry = this.views.get(key);
    if (!entry) {
      this.lastId += 1;
      entry = { id: `c${this.lastId}`, channel, view: new ChannelView(), users: 0, error: "" };
      this.views.set(key, entry);
      this.subscribe(entry);
    }
    entry.users += 1;
    return entry;
  }

  release(entry) {
    entry.users -= 1;
    if (entry.users > 0) return;
    this.views.delete(JSON.stringify(entry.channel));
    this.say({ op: "unsubscribe", id: entry.id });
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    clearTimeout(this.retry);
    window.removeEventListener("online", this.onWake);
    document.removeEventListener("visibilitychange", this.onWake);
    this.socket?.close();
  }

  connect() {
    if (this.closed) return;
    clearTimeout(this.retry);
    this.attempts += 1;
    this.greeted = false;
    this.byNumber.clear();
    let socket;
    try {
      socket = new WebSocket(this.url);
    } catch (error) {
      this.problem = String(error.message ?? error);
      this.scheduleRetry();
      return;
    }
    this.socket = socket;
    this.heardAt = Date.now();
    socket.onopen = () => {
      if (this.ticket) this.say({ op: "authenticate", token: this.ticket });
      for (const entry of this.views.values()) this.subscribe(entry);
    };
    socket.onmessage = (event) => {
      if (socket === this.socket) this.receive(event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.lost(event);
    };
  }

  lost(event) {
    this.problem = [TOO_MANY_VIEWERS, NOT_ALLOWED, 1001].includes(event.code) ? event.reason : "";
    this.scheduleRetry();
    this.changed();
  }

  scheduleRetry() {
    if (this.closed) return;
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.attempts - 1));
    const wait = longest * (0.5 + Math.random() / 2); // so that thousands of pages do not come back as one
    this.retryAt = Date.now() + wait;
    this.retry = setTimeout(() => this.connect(), wait);
  }

  // The network or the tab is back: do not wait for the rest of the back-off.
  wake() {
    const waiting = !this.socket || this.socket.readyState === WebSocket.CLOSED;
    if (!document.hidden && waiting && !this.closed) {
      this.attempts = Math.min(this.attempts, 2);
      this.connect();
    }
  }

  // Each second: a connection that says nothing is asked, and then given up.
  watch() {
    const quiet = Date.now() - this.heardAt;
    if (this.socket?.readyState === WebSocket.OPEN) {
      if (quiet > QUIET_LOST_MS) {
        const socket = this.socket;
        this.lost({ code: 0 });
        this.socket = null;
        socket.close();
      } else if (quiet > QUIET_PING_MS) {
        this.say({ op: "ping" });
      }
    }
    this.changed();
  }

  say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  subscribe(entry) {
    const message = { op: "subscribe", id: entry.id, channel: entry.channel };
    if (entry.view.position) message.since = entry.view.position;
    this.say(message);
  }

  receive(text) {
    this.heardAt = Date.now();
    for (const frame of JSON.parse(text)) {
      if (frame.at_ms) this.setClock(frame.at_ms);
      this.apply(frame);
    }
    this.changed();
  }

  setClock(atMs) {
    const skew = atMs - Date.now();
    // Lower only slowly: a frame that was late says less about the clock than one that was not.
    this.clockSkew = this.clockSkew === null || skew > this.clockSkew ? skew : this.clockSkew + (skew - this.clockSkew) * 0.01;
  }

  apply(frame) {
    const entry = this.byNumber.get(frame.ch);
    switch (frame.op) {
      case "hello":
        Object.assign(this, { greeted: true, everOpen: true, attempts: 0, problem: "", live: frame.live, reason: frame.reason });
        break;
      case "status":
        Object.assign(this, { live: frame.live, reason: frame.reason });
        break;
      case "subscribed":
        for (const candidate of this.views.values()) {
          if (candidate.id !== frame.id) continue;
          candidate.error = "";
          this.byNumber.set(frame.ch, candidate);
        }
        break;
      case "snapshot":
        entry?.view.snapshot(frame);
        this.noteNewest(entry, frame);
        break;
      case "delta":
        if (entry && !entry.view.delta(frame)) this.subscribe(entry);
        this.noteNewest(entry, frame);
        break;
      case "error":
        for (const candidate of this.views.values()) {
          if (candidate.id === frame.id) candidate.error = frame.message;
        }
        break;
      default: // unsubscribed, resync, pong: nothing to do here
    }
  }
  // When the newest sample was taken; the overview is computed at every tick and says nothing about it.
  noteNewest(entry, frame) {
    if (!entry || entry.channel === "overview") return;
    for (const [, ages] of frame.points) this.newestAt = Math.max(this.newestAt, frame.at_ms - ages[ages.length - 1]);
  }
}
