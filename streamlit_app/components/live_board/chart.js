// One chart: a card with title, canvas, legend and what to do when it is empty.
// Belongs here: drawing lines, axes and the crosshair. Does not: the connection, which charts there are.

const HEIGHT = 190;
const PAD = { top: 10, right: 12, bottom: 22 };
const MIN_GUTTER = 66; // wide enough for most labels, so that charts above each other line up
const DASHES = [[], [5, 3], [1.5, 2.5]];

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

class Chart {
  constructor(spec, board) {
    this.spec = spec;
    this.board = board;
    this.lines = new Lines();
    this.entries = spec.channels.map(({ metric, labels }) => board.stream.use({ metric, labels: labels ?? {} }));
    this.scale = null;
    this.visible = true;
    this.build();
  }

  build() {
    this.root = element("article", "card");
    this.root.dataset.chart = this.spec.id;
    const head = element("header", "card-head");
    head.append(element("h3", "", this.spec.title), (this.note = element("span", "note")));
    this.plot = element("div", "plot");
    this.canvas = element("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${this.spec.title}: its values are in the legend below`);
    this.empty = element("div", "empty");
    this.tip = element("div", "tip");
    this.plot.append(this.canvas, this.empty, this.tip);
    this.legend = element("ul", "legend");
    this.root.append(head, this.plot, this.legend);
    this.rows = new Map();
    this.plot.onpointermove = (event) => this.board.hover(this, event.clientX - this.plot.getBoundingClientRect().left);
    this.plot.onpointerleave = () => this.board.hover(null, 0);
    this.resizer = new ResizeObserver(() => this.board.touch());
    this.resizer.observe(this.plot);
    this.watcher = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      this.board.touch();
    });
    this.watcher.observe(this.root);
  }

  close() {
    this.resizer.disconnect();
    this.watcher.disconnect();
    this.entries.forEach((entry) => this.board.stream.release(entry));
    this.root.remove();
  }

  // Take in what the stream brought; returns whether there is something new to draw.
  refresh() {
    const changed = this.lines.update(this.spec, this.entries);
    const left = this.entries.reduce((sum, entry) => sum + entry.view.leftOut, 0);
    const more = this.lines.total + left - this.lines.all.length;
    this.note.textContent = more > 0 ? `${this.lines.all.length} of ${this.lines.total + left} series, the highest` : "";
    this.note.title = more > 0 ? "Narrow the filter to see the others" : "";
    this.sayEmpty();
    return changed;
  }

  sayEmpty() {
    const error = this.entries.map((entry) => entry.error).find(Boolean);
    const waiting = this.entries.some((entry) => !entry.view.position);
    const names = this.spec.channels.map(({ metric }) => metric).join(", ");
    let text = "";
    if (error) text = `The stream refused this chart: ${error}`;
    else if (this.lines.all.length) text = "";
    else if (waiting) text = "Waiting for the first points …";
    else text = `No samples of ${names} in the last ${duration(this.entries[0].view.windowMs / 1000)}. They show here as soon as the gateway gets some.`;
    this.empty.textContent = text;
    this.empty.hidden = !text;
    this.canvas.classList.toggle("dim", Boolean(text));
  }

  // Draw the window [since, until] ms; at: the instant under the crosshair, or null.
  draw(since, until, at, theme) {
    const width = this.plot.clientWidth;
    if (!width) return;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(HEIGHT * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    context.font = `11px ${theme.font}`;
    const shown = this.lines.shown;
    const ticks = this.valueAxis(shown, since, until);
    this.left = Math.max(MIN_GUTTER, ...ticks.map((tick) => context.measureText(tick.text).width + 12));
    this.right = width - PAD.right;
    this.since = since;
    this.until = until;
    const low = ticks[0].value;
    const high = ticks[ticks.length - 1].value;
    const x = (time) => this.left + ((time - since) / (until - since)) * (this.right - this.left);
    const y = (value) => PAD.top + (1 - (value - low) / (high - low)) * (HEIGHT - PAD.top - PAD.bottom);
    this.drawAxes(context, ticks, x, y, theme);
    context.save();
    context.beginPath();
    context.rect(this.left, 0, this.right - this.left + 1, HEIGHT - PAD.bottom + 1);
    context.clip();
    for (const line of shown) this.drawLine(context, line, x, y, theme, shown.length);
    context.restore();
    if (at !== null) this.drawCrosshair(context, shown, at, x, y, theme);
    this.fillLegend(at, theme);
  }

  // Ticks from nought (or below) to above the highest value; the range only eases when it really changes.
  valueAxis(lines, since, until) {
    let low = 0;
    let high = -Infinity;
    for (const { at, value } of lines) {
      for (let index = Math.max(0, lowerBound(at, since) - 1); index < at.length && at[index] <= until; index += 1) {
        if (value[index] > high) high = value[index];
        if (value[index] < low) low = value[index];
      }
    }
    const share = this.spec.unit === "%" && low >= 0 && high <= 101;
    if (high > 0) high *= 1.08;
    if (share) high = Math.min(Math.max(high, 10), 100);
    if (!(high > low)) high = low + 1;
    const kept = this.scale;
    const fits = kept && low >= kept.low && high <= kept.high && high - low > (kept.high - kept.low) * 0.45;
    if (!fits) {
      const ticks = valueTicks(low, high, 4, this.spec.unit);
      this.scale = { low: ticks[0].value, high: ticks[ticks.length - 1].value, ticks };
    }
    return this.scale.ticks;
  }

  drawAxes(context, ticks, x, y, theme) {
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const tick of ticks) {
      const at = Math.round(y(tick.value)) + 0.5;
      context.strokeStyle = tick.value === 0 ? theme.axis : theme.grid;
      context.beginPath();
      context.moveTo(this.left, at);
      context.lineTo(this.right, at);
      context.stroke();
      context.fillStyle = theme.muted;
      context.fillText(tick.text, this.left - 7, at);
    }
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const tick of timeTicks(this.since, this.until, (this.right - this.left) / 90)) {
      const at = x(tick.value);
      const half = context.measureText(tick.text).width / 2;
      if (at - half < this.left - 20 || at + half > this.right + PAD.right) continue;
      context.fillStyle = theme.muted;
      context.fillText(tick.text, at, HEIGHT - PAD.bottom + 7);
      context.strokeStyle = theme.axis;
      context.beginPath();
      context.moveTo(Math.round(at) + 0.5, HEIGHT - PAD.bottom);
      context.lineTo(Math.round(at) + 0.5, HEIGHT - PAD.bottom + 4);
      context.stroke();
    }
  }

  drawLine(context, line, x, y, theme, count) {
    const { at, value, gap } = line;
    const faded = this.highlighted && this.highlighted !== line.name;
    context.strokeStyle = theme.colours[line.colour % theme.colours.length];
    context.globalAlpha = faded ? 0.2 : 1;
    context.lineWidth = line.emphasis || this.highlighted === line.name ? 2.2 : 1.5;
    context.setLineDash(DASHES[Math.floor(line.colour / theme.colours.length) % DASHES.length]);
    context.lineJoin = "round";
    context.beginPath();
    let from = 0;
    const first = Math.max(0, lowerBound(at, this.since) - 1);
    for (let index = first; index < at.length; index += 1) {
      const begins = index === first || at[index] - at[index - 1] > gap;
      if (begins) {
        if (index > first && from === index - 1) this.drawDot(context, x(at[from]), y(value[from]), 1.5);
        from = index;
        context.moveTo(x(at[index]), y(value[index]));
      } else {
        context.lineTo(x(at[index]), y(value[index]));
      }
      if (at[index] > this.until) break;
    }
    context.stroke();
    context.setLineDash([]);
    if (count <= 2 && at.length > 1) this.fillUnder(context, line, first, x, y);
    context.globalAlpha = 1;
  }

  // A point between two gaps would not be seen as a line.
  drawDot(context, atX, atY, radius) {
    context.moveTo(atX + radius, atY);
    context.arc(atX, atY, radius, 0, 2 * Math.PI);
  }

  fillUnder(context, { at, value, gap }, first, x, y) {
    context.globalAlpha *= 0.1;
    context.fillStyle = context.strokeStyle;
    let from = first;
    for (let index = first + 1; index <= at.length; index += 1) {
      if (index < at.length && at[index] - at[index - 1] <= gap) continue;
      context.beginPath();
      context.moveTo(x(at[from]), y(0));
      for (let inner = from; inner < index; inner += 1) context.lineTo(x(at[inner]), y(value[inner]));
      context.lineTo(x(at[index - 1]), y(0));
      context.fill();
      from = index;
    }
  }

  drawCrosshair(context, lines, at, x, y, theme) {
    context.strokeStyle = theme.muted;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(x(at)) + 0.5, PAD.top);
    context.lineTo(Math.round(x(at)) + 0.5, HEIGHT - PAD.bottom);
    context.stroke();
    for (const line of lines) {
      const index = valueAt(line, at);
      if (index === null) continue;
      context.fillStyle = theme.colours[line.colour % theme.colours.length];
      context.strokeStyle = theme.card;
      context.lineWidth = 1.5;
      context.beginPath();
      context.arc(x(line.at[index]), y(line.value[index]), 3.5, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
  }

  // The instant under a pixel of this chart.
  timeAt(pixel) {
    if (this.left === undefined || pixel < this.left || pixel > this.right) return null;
    return this.since + ((pixel - this.left) / (this.right - this.left)) * (this.until - this.since);
  }

  // The legend reads the current values, or those under the crosshair.
  fillLegend(at, theme) {
    const wanted = this.lines.all.map((line) => line.name);
    if (wanted.join("\n") !== [...this.rows.keys()].join("\n")) this.buildLegend(wanted);
    for (const line of this.lines.all) {
      const row = this.rows.get(line.name);
      const newest = line.at.length - 1;
      const stale = this.until - line.at[newest] > Math.max(15_000, line.gap === Infinity ? 0 : line.gap);
      const index = at === null ? (stale ? null : newest) : valueAt(line, at);
      const text = index === null ? NOTHING : quantity(line.value[index], this.spec.unit);
      if (row.value.textContent !== text) row.value.textContent = text;
      row.swatch.style.background = theme.colours[line.colour % theme.colours.length];
      row.root.setAttribute("aria-pressed", String(!this.lines.hidden.has(line.name)));
    }
  }

  buildLegend(names) {
    this.rows.clear();
    this.legend.replaceChildren(
      ...names.map((name) => {
        const item = element("li");
        const root = element("button", "key");
        root.type = "button";
        root.title = `${name}: click to hide or show, double-click for this one alone`;
        const swatch = element("span", "swatch");
        const value = element("span", "value");
        value.dataset.series = name;
        root.append(swatch, element("span", "name", name), value);
        root.onclick = (event) => this.toggle(name, event.detail > 1);
        root.onpointerenter = () => this.highlight(name);
        root.onpointerleave = () => this.highlight(null);
        item.append(root);
        this.rows.set(name, { root, swatch, value });
        return item;
      }),
    );
  }

  toggle(name, alone) {
    const { hidden, all } = this.lines;
    if (alone) {
      const others = all.map((line) => line.name).filter((other) => other !== name);
      const already = others.every((other) => hidden.has(other));
      hidden.clear();
      if (!already) others.forEach((other) => hidden.add(other));
    } else if (!hidden.delete(name)) {
      hidden.add(name);
    }
    this.scale = null;
    this.board.touch();
  }

  highlight(name) {
    this.highlighted = name;
    this.board.touch();
  }

  // What is under the pointer, beside it: the time, and the highest values.
  showTip(at, pixel, theme) {
    const found = this.lines.shown
      .map((line) => ({ line, index: valueAt(line, at) }))
      .filter(({ index }) => index !== null)
      .sort((a, b) => b.line.value[b.index] - a.line.value[a.index]);
    const rows = found.slice(0, 10).map(({ line, index }) => {
      const row = element("div", "tip-row");
      const swatch = element("span", "swatch");
      swatch.style.background = theme.colours[line.colour % theme.colours.length];
      row.append(swatch, element("span", "name", line.name), element("span", "value", quantity(line.value[index], this.spec.unit)));
      return row;
    });
    if (found.length > rows.length) rows.push(element("div", "tip-more", `and ${found.length - rows.length} more`));
    this.tip.replaceChildren(element("div", "tip-time", clockTime(at)), ...rows);
    this.tip.style.display = "block";
    const room = this.plot.clientWidth - pixel;
    this.tip.style.left = room > this.tip.offsetWidth + 24 ? `${pixel + 14}px` : `${pixel - this.tip.offsetWidth - 14}px`;
  }

  hideTip() {
    this.tip.style.display = "none";
  }
}
