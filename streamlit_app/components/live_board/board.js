// The board: the connection's state, the overview's figures, the charts, and when to draw.
// Belongs here: what the component shows as a whole. Does not: how a chart is drawn, the protocol.

const STATES = {
  connecting: "Connecting …",
  live: "Live",
  stale: "No new data",
  reconnecting: "Reconnecting …",
};
const QUIET_MS = 15_000;
const SMOOTH_PX = 0.4;
const KEEP_PAUSED_MS = 30 * 60_000;
const FORGET_EVERY_MS = 10_000;
const FIGURES = {
  cpu_busy_pct: "CPU busy",
  memory_used_pct: "Memory used",
  load_1m: "Load, 1 min",
  network_received_bytes_per_s: "Network in",
  network_sent_bytes_per_s: "Network out",
  ingest_samples_per_s: "Samples in",
  loader_lag_s: "Loader lag",
  viewers: "Viewers",
};

class Board {
  constructor(root) {
    this.root = root;
    this.charts = new Map();
    this.pausedAt = null;
    this.over = null;
    this.build();
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = requestAnimationFrame(() => this.loop());
  }

  build() {
    this.pill = element("span", "pill");
    this.pill.setAttribute("role", "status");
    this.detail = element("span", "detail");
    this.detail.title = `Times are in ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
    this.windows = element("div", "segments");
    this.pause = element("button", "button", "Pause");
    this.pause.type = "button";
    this.pause.onclick = () => this.togglePause();
    const bar = element("div", "bar");
    bar.append(this.pill, this.detail, element("span", "spring"), this.windows, this.pause);
    this.trouble = element("div", "trouble");
    this.trouble.setAttribute("role", "alert");
    this.trouble.hidden = true;
    this.figures = element("div", "figures");
    this.grid = element("div", "grid");
    this.root.replaceChildren(bar, this.trouble, this.figures, this.grid);
    this.tiles = new Map();
  }

  // Show what the page asks for; called again whenever that, or the theme, changes.
  update(data) {
    const url = data.url || addressBeside(data.port);
    if (this.stream?.url !== url) this.connect(url);
    this.stream.ticket = data.ticket;
    this.data = data;
    this.windowMs = this.windowMs ?? data.windows_s[data.windows_s.length - 1] * 1000;
    this.grid.style.setProperty("--columns", data.columns);
    this.buildWindows(data.windows_s);
    this.arrange(data.charts);
    this.theme = null;
    this.touch();
  }

  connect(url) {
    for (const chart of this.charts.values()) chart.close();
    this.charts.clear();
    this.stream?.close();
    this.stream = new Stream(url, () => this.touch());
    this.overview = this.stream.use("overview");
  }

  // Charts that stay are left as they are: their lines, colours and hidden series.
  arrange(specs) {
    const wanted = new Map(specs.map((spec) => [JSON.stringify(spec), spec]));
    for (const [key, chart] of this.charts) {
      if (!wanted.has(key)) {
        chart.close();
        this.charts.delete(key);
      }
    }
    [...wanted].forEach(([key, spec], place) => {
      if (!this.charts.has(key)) this.charts.set(key, new Chart(spec, this));
      const { root } = this.charts.get(key);
      if (this.grid.children[place] !== root) this.grid.insertBefore(root, this.grid.children[place] ?? null);
    });
  }

  buildWindows(choices) {
    this.windows.replaceChildren(
      ...choices.map((seconds) => {
        const button = element("button", "segment", duration(seconds));
        button.type = "button";
        button.setAttribute("aria-pressed", String(seconds * 1000 === this.windowMs));
        button.onclick = () => {
          this.windowMs = seconds * 1000;
          this.buildWindows(choices);
          this.touch();
        };
        return button;
      }),
    );
  }

  togglePause() {
    this.pausedAt = this.pausedAt === null ? this.stream.now() : null;
    this.pause.textContent = this.pausedAt === null ? "Pause" : "Go on";
    this.pause.classList.toggle("on", this.pausedAt !== null);
    this.touch();
  }

  hover(chart, pixel) {
    this.over = chart ? { chart, pixel } : null;
    for (const other of this.charts.values()) if (other !== chart) other.hideTip();
    this.touch();
  }

  // Something changed: draw with the next frame. A tab in the background has none, but goes on receiving.
  touch() {
    this.dirty = true;
    if (document.hidden && this.data && Date.now() - (this.forgotAt ?? 0) > FORGET_EVERY_MS) this.forget();
  }

  close() {
    this.closed = true;
    cancelAnimationFrame(this.frame);
    for (const chart of this.charts.values()) chart.close();
    this.stream?.close();
  }

  // With every frame of the screen: draw if something changed, or if time moved far enough to be seen.
  loop() {
    if (this.closed) return;
    this.frame = requestAnimationFrame(() => this.loop());
    if (!this.stream || document.hidden) return;
    const until = this.pausedAt ?? this.stream.now();
    const width = this.grid.clientWidth / Math.max(1, this.data?.columns ?? 1);
    const moved = (Math.abs(until - (this.drawnUntil ?? 0)) / this.windowMs) * width;
    if (!this.dirty && (this.calm.matches || moved < SMOOTH_PX)) return;
    const dirty = this.dirty;
    this.dirty = false;
    this.drawnUntil = until;
    this.draw(until, dirty);
  }

  draw(until, dirty) {
    this.theme = this.theme ?? readTheme(this.root);
    if (dirty) {
      this.forget();
      this.showState(until);
      this.showFigures();
      for (const chart of this.charts.values()) chart.refresh();
    }
    const at = this.over ? this.over.chart.timeAt(this.over.pixel) : null;
    for (const chart of this.charts.values()) {
      if (chart.visible) chart.draw(until - this.windowMs, until, at, this.theme);
    }
    if (this.over && at !== null) this.over.chart.showTip(at, this.over.pixel, this.theme);
    else if (this.over) this.over.chart.hideTip();
  }

  // Drop points that no window shows any more; while paused they are kept for half an hour.
  forget() {
    this.forgotAt = Date.now();
    const until = this.pausedAt ?? this.stream.now();
    const longest = Math.max(...this.data.windows_s) * 1000;
    const oldest = Math.max(until - longest - 10_000, this.stream.now() - KEEP_PAUSED_MS);
    for (const { view } of this.stream.views.values()) view.dropBefore(oldest);
  }

  showState() {
    const { stream } = this;
    const now = stream.now();
    const quiet = stream.newestAt ? now - stream.newestAt : 0;
    let state = stream.state;
    let detail = "";
    if (state === "reconnecting") {
      const wait = Math.ceil((stream.retryAt - Date.now()) / 1000);
      detail = wait > 0 ? `next try in ${wait} s` : "trying now";
    } else if (state === "stale") {
      detail = stream.reason;
    } else if (state === "live" && quiet > QUIET_MS) {
      state = "stale";
      detail = `the newest sample is ${duration(quiet / 1000)} old`;
    } else if (state === "live" && stream.newestAt) {
      detail = `newest sample ${clockTime(stream.newestAt)}`;
    }
    if (this.pausedAt !== null) detail = `paused at ${clockTime(this.pausedAt)}${state === "live" ? "" : `; ${detail}`}`;
    this.pill.className = `pill ${this.pausedAt !== null && state === "live" ? "paused" : state}`;
    setText(this.pill, this.pausedAt !== null && state === "live" ? "Paused" : STATES[state]);
    setText(this.detail, detail);
    this.showTrouble(state);
  }

  // What a person can do about a connection that does not come about.
  showTrouble(state) {
    const { stream } = this;
    const failing = state === "reconnecting" && stream.attempts > (stream.everOpen ? 3 : 1);
    const text = stream.problem
      ? `The sidecar closed the connection: ${stream.problem}.`
      : `The stream at ${stream.url} cannot be reached. ${this.data.hint}`;
    setText(this.trouble, failing ? text : "");
    this.trouble.hidden = !failing;
  }

  showFigures() {
    const now = this.stream.now();
    for (const series of this.overview.view.series.values()) {
      const { figure, unit } = series.labels;
      if (!(figure in FIGURES) || !series.at.length) continue;
      if (!this.tiles.has(figure)) this.tiles.set(figure, this.buildTile(figure));
      const tile = this.tiles.get(figure);
      const last = series.at.length - 1;
      const fresh = now - series.at[last] < QUIET_MS;
      setText(tile.value, fresh ? quantity(series.value[last], unit) : NOTHING);
    }
    const order = Object.keys(FIGURES).filter((figure) => this.tiles.has(figure));
    if (this.figures.childElementCount !== order.length) {
      this.figures.replaceChildren(...order.map((figure) => this.tiles.get(figure).root));
    }
  }

  buildTile(figure) {
    const root = element("div", "tile");
    root.dataset.figure = figure;
    const value = element("div", "tile-value");
    root.append(element("div", "tile-name", FIGURES[figure]), value);
    return { root, value };
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// The sidecar beside the page: the same host, its own port.
function addressBeside(port) {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.hostname}:${port}/stream`;
}

// The colours of Streamlit's theme, as the canvas needs them.
function readTheme(root) {
  const style = getComputedStyle(root);
  const read = (name, otherwise) => style.getPropertyValue(`--st-${name}`).trim() || otherwise;
  const probe = (name) => style.getPropertyValue(name).trim();
  const colours = read("chart-categorical-colors", "").split(",").map((colour) => colour.trim()).filter(Boolean);
  return {
    font: read("font", "sans-serif"),
    card: read("background-color", "#fff"),
    muted: probe("--muted") || "#777",
    grid: probe("--grid") || "#8883",
    axis: probe("--axis") || "#8886",
    colours: colours.length ? colours : ["#2a78d6", "#eb6834", "#1baf7a", "#c98500", "#4a3aa7", "#e87ba4"],
  };
}

const boards = new WeakMap();

// Streamlit calls this for a new component, and again when its data or the theme changes.
export default function mount({ data, parentElement }) {
  let board = boards.get(parentElement);
  if (!board || board.closed) {
    board = new Board(parentElement.querySelector(".live-board"));
    boards.set(parentElement, board);
  }
  board.update(data);
  return () => board.close();
}
