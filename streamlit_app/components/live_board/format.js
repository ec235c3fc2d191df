// Numbers, units and times as people read them: the same texts as streamlit_app/widgets/formats.py.
// Belongs here: value + unit -> text, and ticks of an axis. Does not: drawing.

const NOTHING = "–";
const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].map((prefix, power) => [1024 ** power, prefix]);
const DECIMAL = [[1, ""], [1e3, "k"], [1e6, "M"], [1e9, "G"], [1e12, "T"]];
const SECONDS = [[1e-9, "ns"], [1e-6, "µs"], [1e-3, "ms"], [1, "s"], [60, "min"], [3600, "h"], [86400, "d"]];
const SECONDS_IN = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1 };
const FIXED = { "%": "%", "°C": "°C", ratio: "", "s/s": "s/s" };
const PREFIXED = ["Hz", "V", "W", "/s"];

const threeDigits = (value) => (value < 1000 ? Number(value.toPrecision(3)) : Math.round(value));

function largestStep(steps, size) {
  const fitting = steps.filter(([step]) => threeDigits(size / step) >= 1);
  return fitting.length ? fitting[fitting.length - 1] : steps[0];
}

// How an axis or a number shows a unit: shown = value / divisor, followed by suffix.
function scaleFor(unit, magnitude) {
  const size = Number.isFinite(magnitude) ? Math.abs(magnitude) : 0;
  if (unit in SECONDS_IN) {
    const factor = SECONDS_IN[unit];
    if (!size) return { divisor: 1, suffix: unit };
    const [step, suffix] = largestStep(SECONDS, size * factor);
    return { divisor: step / factor, suffix };
  }
  if (unit in FIXED) return { divisor: 1, suffix: FIXED[unit] };
  if (unit === "B" || unit === "B/s") {
    const [step, prefix] = largestStep(BINARY, size);
    return { divisor: step, suffix: prefix + unit };
  }
  const [step, prefix] = largestStep(DECIMAL, size);
  return { divisor: step, suffix: PREFIXED.includes(unit) ? prefix + unit : `${prefix} ${unit}`.trim() };
}

// A bare number with three digits that count, thousands grouped: 0.0421, 3.5, 1,234.
function formatNumber(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 999.5) return Math.round(value).toLocaleString("en-US");
  if (size < 1e-4) return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  const places = Math.max(0, 2 - Math.floor(Math.log10(size)));
  const text = value.toFixed(Math.min(places, 20));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

const withSuffix = (text, suffix) => (suffix === "/s" ? text + suffix : suffix ? `${text} ${suffix}` : text);

// A value with its unit, scaled: "1.2 GiB", "340 ms", "12.5 %", "3.4 k".
function quantity(value, unit) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  const scale = scaleFor(unit, value);
  return withSuffix(formatNumber(value / scale.divisor), scale.suffix);
}

// The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `rough`.
function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 2.5, 5, 10].find((candidate) => candidate * power >= rough * 0.9999);
  return factor * power;
}

// Round values from at or below `low` to at or above `high`, about `count` of them, in the axis' own scale.
function valueTicks(low, high, count, unit) {
  const { divisor, suffix } = scaleFor(unit, Math.max(Math.abs(low), Math.abs(high)));
  const span = Math.max((high - low) / divisor, Number.MIN_VALUE * 1e6);
  const step = niceStep(span / count);
  const first = Math.floor(low / divisor / step + 1e-9);
  const last = Math.ceil(high / divisor / step - 1e-9);
  const places = Math.max(0, Math.min(12, -Math.floor(Math.log10(step)) + (step / 10 ** Math.floor(Math.log10(step)) % 1 ? 1 : 0)));
  const ticks = [];
  for (let number = first; number <= last; number += 1) {
    const shown = number * step;
    const text = Math.abs(shown) >= 1000 ? Math.round(shown).toLocaleString("en-US") : shown.toFixed(places);
    ticks.push({ value: shown * divisor, text: number === 0 ? "0" : withSuffix(text, suffix) });
  }
  return ticks;
}

const TIME_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800];
const TO_THE_SECOND = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const TO_THE_MINUTE = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

const clockTime = (atMs) => TO_THE_SECOND.format(atMs);

// Instants at which a time axis is labelled in local time; steps divide the hour, so every zone's are whole.
function timeTicks(sinceMs, untilMs, count) {
  const rough = (untilMs - sinceMs) / 1000 / Math.max(1, count);
  const stepS = TIME_STEPS_S.find((step) => step >= rough) ?? 3600;
  const format = stepS % 60 ? TO_THE_SECOND : TO_THE_MINUTE;
  const ticks = [];
  for (let at = Math.ceil(sinceMs / 1000 / stepS) * stepS * 1000; at <= untilMs; at += stepS * 1000) {
    ticks.push({ value: at, text: format.format(at) });
  }
  return ticks;
}

// How long something lasted, in its two largest parts: "45 s", "2 min 5 s".
function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [[Math.floor(whole / 3600), "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, name]) => `${count} ${name}`).join(" ");
}
