// What stands in each section: heading, chart, its text, and the same numbers as a table. Names are data: never markup.

import { draw, rowsHeight } from "./charts.js";
import { counted, number, share, stepNames } from "./format.js";

const STEPS = { hour: "hour", day: "day", week: "week", month: "month" };
const MEASURES = [["orders", "Orders"], ["items", "Items"], ["customers", "Customers"], ["new_customers", "New customers"]];
const CHART_ROWS_MAX = 10;
const contents = new Map(); // by section, so that a table is made when it is opened

/** Fills the four sections with those numbers. */
export function show(data) {
  const steps = stepNames(data.over_time, data.interval, data.from === data.to ? 1 : 2);
  const ended = data.over_time.length - future(data);
  fill("over-time", data, data.interval, overTime(data, steps, ended));
  fill("regions", data, "region", best(data, data.regions, "region", "orders"));
  fill("products", data, "product", best(data, data.products, "product", "items"));
  fill("customers", data, data.interval, customers(data, steps, ended));
}

function overTime(data, steps, ended) {
  const step = STEPS[data.interval];
  return {
    title: `Orders and items by ${step}`,
    summary: peak(data.over_time, "orders", steps, "order", "orders", step),
    caption: `Orders, items and customers by ${step}`,
    legend: [["orders", "Orders"], ["items", "Items"]],
    chart: {
      kind: "plain",
      labels: steps.map((one) => one.axis),
      titles: steps.map((one) => one.full),
      series: [
        { name: "orders", title: "Orders", colour: "orders", values: upTo(ended, data.over_time, "orders") },
        { name: "items", title: "Items", colour: "items", values: upTo(ended, data.over_time, "items"), line: true },
      ],
    },
    columns: told(data.interval),
    first: [step[0].toUpperCase() + step.slice(1), steps.map((one) => one.full)],
    rows: data.over_time,
  };
}

function best(data, found, key, measure) {
  const plural = `${key}s`;
  const title = key === "region" ? "Orders by region" : "Best-selling products";
  const top = found.groups.slice(0, CHART_ROWS_MAX);
  const names = found.groups.map((group) => String(group[key]));
  const all = found.count > found.groups.length ? `The first ${found.groups.length} of ${counted(found.count, key, plural)}` : counted(found.count, key, plural);
  const name = `${key === "product" ? "Product " : ""}${names[0]}`;
  const most = top[0]?.[measure];
  const leader = top.length ? `${name} leads: ${counted(most, measure.slice(0, -1), measure)}, ${share(most, data[measure])} of all` : "None";
  return {
    title,
    summary: leader,
    caption: `${all}, most ${measure} first`,
    legend: [],
    height: rowsHeight(top.length),
    chart: {
      kind: "rows",
      labels: names.slice(0, CHART_ROWS_MAX),
      titles: names.map((name) => (key === "product" ? `Product ${name}` : name)),
      series: [{ name: measure, title: measure === "items" ? "Items" : "Orders", colour: plural, values: column(top, measure) }],
    },
    columns: told(key),
    first: [key === "region" ? "Region" : "Product", names],
    rows: found.groups,
  };
}

function customers(data, steps, ended) {
  const step = STEPS[data.interval];
  const hourly = data.interval === "hour";
  const known = data.customers - data.new_customers;
  const rows = data.over_time.map((group) => ({ ...group, returning: group.customers - (group.new_customers ?? 0) }));
  const returning = { name: "returning", title: "Returning", colour: "returning", values: upTo(ended, rows, "returning") };
  const fresh = { name: "new", title: "New", colour: "new", values: upTo(ended, rows, "new_customers") };
  const all = { name: "customers", title: "Customers", colour: "returning", values: upTo(ended, rows, "customers") };
  return {
    title: hourly ? "Customers by hour" : `Customers by ${step}, new and returning`,
    summary: `${counted(data.new_customers, "customer", "customers")} ordered for the first time, ${number(known)} had ordered before`,
    caption: hourly ? "Different customers of each hour" : `Different customers of each ${step}: new ones, and those who had ordered before`,
    legend: hourly ? [["customers", "Customers"]] : [["new", "New"], ["returning", "Returning"]],
    chart: {
      kind: hourly ? "plain" : "stacked",
      labels: steps.map((one) => one.axis),
      titles: steps.map((one) => one.full),
      series: hourly ? [all] : [fresh, returning],
    },
    columns: hourly ? [["customers", "Customers"]] : [["customers", "Customers"], ["new_customers", "New customers"], ["returning", "Returning"]],
    first: [step[0].toUpperCase() + step.slice(1), steps.map((one) => one.full)],
    rows,
  };
}

/** How many steps at the end lie in the future. */
function future(data) {
  const now = Date.parse(data.generated_at);
  const start = (group) => (data.interval === "hour" ? Date.parse(group.hour) : Date.parse(`${group[data.interval]}T00:00:00Z`));
  const limit = data.interval === "hour" ? now : Date.parse(`${data.today}T00:00:00Z`);
  return data.over_time.filter((group) => start(group) > limit && group.orders === 0).length;
}

const upTo = (ended, groups, name) => column(groups, name).map((value, index) => (index < ended ? value : null));
const column = (groups, name) => groups.map((group) => group[name] ?? 0);
const told = (key) => (key === "hour" ? MEASURES.slice(0, 3) : MEASURES);

function peak(groups, measure, steps, one, many, step) {
  const values = column(groups, measure);
  const most = Math.max(...values);
  return `Most in one ${step}: ${counted(most, one, many)}, ${steps[values.indexOf(most)].full}`;
}

function fill(id, data, groupBy, content) {
  const section = document.getElementById(id);
  const find = (selector) => section.querySelector(selector);
  contents.set(section, content);
  if (!section.firstChild) {
    section.append(document.getElementById("chart").content.cloneNode(true));
    find("details").addEventListener("toggle", () => tableIfOpen(section));
  }
  find("h2").id = `${id}-title`;
  text(find("h2"), content.title);
  text(find(".summary"), content.summary);
  text(find("summary .unseen"), `: ${content.title}`);
  const csv = find(".csv");
  csv.href = `stats?${new URLSearchParams({ from: data.from, to: data.to, group_by: groupBy, format: "csv" })}`;
  csv.setAttribute("aria-label", `${content.title}: download as CSV`);
  find(".legend").replaceChildren(...content.legend.map(([name, title]) => element("li", title, { className: name })));
  const canvas = find("canvas");
  if (content.height) canvas.parentElement.style.height = content.height;
  canvas.setAttribute("aria-label", `Chart. ${content.title}. ${content.summary}. The numbers are in the table that follows.`);
  draw(canvas, content.chart);
  tableIfOpen(section);
  find(".scroll").setAttribute("aria-label", `${content.title}: table`);
  find(".scroll").setAttribute("role", "region");
}

function tableIfOpen(section) {
  if (section.querySelector("details").open) table(section.querySelector("table"), contents.get(section));
}

function table(whole, { caption, columns, first: [title, names], rows }) {
  text(whole.caption, caption);
  const heads = [title, ...columns.map(([, name]) => name)].map((name) => element("th", name, { scope: "col" }));
  const head = document.createElement("tr");
  head.append(...heads);
  whole.tHead.replaceChildren(head);
  whole.tBodies[0].replaceChildren(
    ...rows.map((row, index) => {
      const line = document.createElement("tr");
      line.append(element("th", names[index], { scope: "row" }), ...columns.map(([name]) => element("td", number(row[name]))));
      return line;
    }),
  );
}

function element(name, content, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  made.textContent = content;
  return made;
}

/** Changes the text only if it is another one: screen readers do not hear of the same again. */
export function text(node, content) {
  if (node.textContent !== content) node.textContent = content;
}
