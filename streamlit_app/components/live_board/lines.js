// What a chart shows of its channels: lines with names, colours and values.
// Belongs here: naming series by what tells them apart, counters as rates, choosing lines. Does not: pixels.

const MAX_LINES = 24;
const GAP_FACTOR = 3.5;
const SHORTEST_GAP_MS = 3_500;
const NATURAL = new Intl.Collator(undefined, { numeric: true });

// A counter's increase per second between its points; where it began anew there is no value.
function rateOf(at, value) {
  const rate = { at: [], value: [] };
  for (let index = 1; index < at.length; index += 1) {
    const grown = value[index] - value[index - 1];
    if (grown < 0) continue;
    rate.at.push(at[index]);
    rate.value.push((grown / (at[index] - at[index - 1])) * 1000);
  }
  return rate;
}

// The usual distance between points: what is much longer is a gap, and a line stops there.
function gapOf(at) {
  if (at.length < 3) return Infinity;
  const steps = [];
  for (let index = Math.max(1, at.length - 40); index < at.length; index += 1) steps.push(at[index] - at[index - 1]);
  steps.sort((a, b) => a - b);
  return Math.max(SHORTEST_GAP_MS, steps[steps.length >> 1] * GAP_FACTOR);
}

// A name for each series from the labels in which they differ.
function nameSeries(members) {
  const values = new Map();
  for (const { series } of members) {
    const labels = { ...series.labels, instance: series.instance };
    for (const [label, value] of Object.entries(labels)) {
      if (!values.has(label)) values.set(label, new Set());
      values.get(label).add(value);
    }
    for (const [label, known] of values) if (!(label in labels)) known.add(undefined);
  }
  let telling = [...values.keys()].filter((label) => values.get(label).size > 1);
  if (telling.includes("host")) telling = telling.filter((label) => label !== "instance");
  const prefixes = new Set(members.map(({ prefix }) => prefix));
  return members.map(({ series, prefix }) => {
    const labels = { ...series.labels, instance: series.instance };
    const parts = telling.filter((label) => labels[label]).map((label) => {
      const value = labels[label];
      return /^\d+$/.test(value) ? `${label} ${value}` : value;
    });
    if (prefixes.size > 1 && prefix) parts.push(prefix);
    const alone = series.labels.host ?? Object.values(series.labels).join(" · ");
    return parts.join(" · ") || prefix || alone || series.metric;
  });
}

// The lines of one chart, kept up to date from its channels.
class Lines {
  constructor() {
    this.all = [];
    this.versions = "";
    this.colours = new Map();
    this.hidden = new Set();
    this.total = 0;
  }

  // Returns whether anything changed. spec.channels[i] belongs to entries[i].
  update(spec, entries) {
    const versions = entries.map((entry) => `${entry.id}:${entry.view.version}`).join();
    if (versions === this.versions) return false;
    this.versions = versions;
    const members = entries.flatMap((entry, index) =>
      [...entry.view.series.values()].map((series) => ({ series, prefix: spec.channels[index].name ?? "" })),
    );
    const names = nameSeries(members);
    const all = members.map(({ series }) => Object.values(series.labels).includes("total"));
    const totals = all.every(Boolean) ? all.map(() => false) : all;
    const lines = members.map(({ series }, index) => {
      const points = spec.rate ? rateOf(series.at, series.value) : series;
      return { name: names[index], at: points.at, value: points.value, gap: gapOf(series.at), emphasis: totals[index] };
    });
    const filled = lines.filter((line) => line.at.length);
    this.total = filled.length;
    this.all = this.choose(filled);
    this.paint();
    return true;
  }

  get shown() {
    return this.all.filter((line) => !this.hidden.has(line.name));
  }

  // Where there are too many lines to tell apart, the highest ones; all in the order of their names.
  choose(lines) {
    let chosen = lines;
    if (lines.length > MAX_LINES) {
      const mean = (line) => line.value.reduce((sum, value) => sum + Math.abs(value), 0) / line.value.length;
      const heights = new Map(lines.map((line) => [line, mean(line)]));
      chosen = [...lines].sort((a, b) => heights.get(b) - heights.get(a)).slice(0, MAX_LINES);
    }
    return chosen.sort((a, b) => Number(b.emphasis) - Number(a.emphasis) || NATURAL.compare(a.name, b.name));
  }

  // A line keeps its colour for as long as the chart is there, whatever comes and goes beside it.
  paint() {
    const taken = new Set(this.all.map((line) => this.colours.get(line.name)));
    for (const line of this.all) {
      if (!this.colours.has(line.name)) {
        let free = 0;
        while (taken.has(free)) free += 1;
        this.colours.set(line.name, free);
        taken.add(free);
      }
      line.colour = this.colours.get(line.name);
    }
  }
}

// The value of a line at an instant: the nearest point, unless it is farther away than a gap.
function valueAt(line, at) {
  const place = lowerBound(line.at, at);
  const before = place - 1;
  const after = place < line.at.length ? place : -1;
  let nearest = after;
  if (before >= 0 && (after < 0 || at - line.at[before] <= line.at[after] - at)) nearest = before;
  if (nearest < 0) return null;
  const distance = Math.abs(line.at[nearest] - at);
  return distance <= (Number.isFinite(line.gap) ? line.gap : 15_000) / 2 + 500 ? nearest : null;
}
