// The charts, drawn by Chart.js. Colours and type are those of page.css.
/* global Chart */

import { brief, number } from "./format.js";

const TICKS_MAX = 5;
const ROW_PX = 27;
const FONT_PX = 12;
const DIGIT_PX = 8; // generous: no digit of a usual font is wider at that size
const GAP_PX = 6;
const BRIEF_FROM = 100000;
const drawn = new Map();

const style = () => getComputedStyle(document.documentElement);
const colour = (name) => style().getPropertyValue(`--${name}`).trim();

/** Draws the chart on that canvas, or brings it up to date. `chart`: kind, labels, titles, series. */
export function draw(canvas, chart) {
  const known = drawn.get(canvas);
  const kind = `${chart.kind} ${chart.series.map((one) => one.name)}`;
  if (known && known.kind === kind) {
    known.chart = chart;
    Object.assign(known.drawing.data, data(chart));
    Object.assign(known.drawing.options, options(chart));
    known.drawing.update("none");
  } else {
    known?.drawing.destroy();
    drawn.set(canvas, { kind, chart, drawing: new Chart(canvas, configuration(chart)) });
  }
}

/** Draws all charts anew, in the colours that hold now. */
export function recolour() {
  for (const [canvas, known] of drawn) {
    known.drawing.destroy();
    known.drawing = new Chart(canvas, configuration(known.chart));
  }
}

/** Fits all charts to a sheet of that width, or to the window again. */
export function resize(width) {
  for (const [canvas, { drawing }] of drawn) {
    if (width) drawing.resize(width, canvas.parentElement.clientHeight);
    else drawing.resize();
  }
}

/** The height that so many rows of a bar chart need. */
export const rowsHeight = (rows) => `${Math.max(rows, 3) * ROW_PX + 8}px`;

function data(chart) {
  return { labels: chart.labels, datasets: chart.series.map((one) => dataset(chart, one)) };
}

function dataset(chart, one) {
  const paint = colour(one.colour);
  const shared = { label: one.title, data: one.values, borderColor: paint, backgroundColor: paint, hoverBackgroundColor: paint };
  if (one.line) {
    const few = one.values.length === 1;
    return { ...shared, type: "line", borderWidth: 2, pointRadius: few ? 3 : 0, pointHoverRadius: 4, tension: 0, order: 0 };
  }
  const shape = { maxBarThickness: chart.kind === "rows" ? 16 : 36, categoryPercentage: 0.86, barPercentage: 0.9 };
  return { ...shared, ...shape, type: "bar", borderWidth: 0, borderRadius: 2, order: 1 };
}

function configuration(chart) {
  Object.assign(Chart.defaults.font, { family: family(), size: FONT_PX });
  return { type: "bar", data: data(chart), options: options(chart), plugins: chart.kind === "rows" ? [valuesAtTheEnd] : [] };
}

function options(chart) {
  const rows = chart.kind === "rows";
  const { values, names } = scales(chart, rows);
  return {
    animation: false,
    maintainAspectRatio: false,
    indexAxis: rows ? "y" : "x",
    interaction: { mode: "index", intersect: false, axis: rows ? "y" : "x" },
    layout: { padding: { right: rows ? roomAtTheEnd(chart) : 0 } },
    scales: rows ? { x: values, y: names } : { x: names, y: values },
    plugins: { legend: { display: false }, tooltip: tooltip(chart) },
  };
}

function scales(chart, rows) {
  const ink = colour("soft");
  const line = colour("line");
  const values = {
    beginAtZero: true,
    stacked: chart.kind === "stacked",
    max: rows ? highest(chart) : undefined,
    display: !rows,
    border: { display: false },
    grid: { color: line, drawTicks: false },
    ticks: { color: ink, precision: 0, maxTicksLimit: TICKS_MAX, padding: 8, callback: tick },
  };
  const names = {
    stacked: chart.kind === "stacked",
    border: { display: !rows, color: line },
    grid: { display: false },
    ticks: { maxRotation: 0, autoSkip: !rows, autoSkipPadding: 18, padding: 6, color: rows ? colour("ink") : ink },
  };
  return { values, names };
}

function tooltip(chart) {
  return {
    backgroundColor: colour("ink"),
    titleColor: colour("ground"),
    bodyColor: colour("ground"),
    padding: 10,
    cornerRadius: 6,
    boxPadding: 4,
    displayColors: chart.series.length > 1,
    callbacks: tooltips(chart),
  };
}

function tooltips(chart) {
  return {
    title: (points) => (points.length ? chart.titles[points[0].dataIndex] : ""),
    labelColor: (point) => ({ borderWidth: 0, borderRadius: 2, backgroundColor: point.dataset.backgroundColor }),
    label: (point) => ` ${point.dataset.label}: ${number(point.raw)}`,
  };
}

const family = () => getComputedStyle(document.body).fontFamily;

/** The numbers that stand behind the bars. */
const valuesAtTheEnd = {
  id: "valuesAtTheEnd",
  afterDatasetsDraw(chart) {
    const { ctx } = chart;
    ctx.save();
    ctx.fillStyle = colour("soft");
    ctx.font = `${FONT_PX}px ${family()}`;
    ctx.textBaseline = "middle";
    chart.getDatasetMeta(0).data.forEach((bar, index) => {
      ctx.fillText(number(chart.data.datasets[0].data[index]), bar.x + GAP_PX, bar.y + 0.5);
    });
    ctx.restore();
  },
};

/** All numbers of an axis are written in one way. */
function tick(value) {
  return this.max < BRIEF_FROM ? number(value) : brief(value);
}

const highest = (chart) => Math.max(1, ...chart.series[0].values);
const roomAtTheEnd = (chart) => GAP_PX + DIGIT_PX * number(highest(chart)).length;
