// The page's state: which period is looked at, how fresh its numbers are, what is wrong.

import { recolour, resize } from "./charts.js";
import { briefPeriod, change, clock, counted, number, period } from "./format.js";
import { show, text } from "./sections.js";
import { first, load, query, Refusal, Unreachable } from "./server.js";

const REFRESH_MS = 20000;
const DEFAULT = "30-days";
const PAPER_PX = 640;

const $ = (id) => document.getElementById(id);
let wanted = query(location.search);
let data = null;
let asking = null;
let timer = null;

async function refresh(answer = null, announce = false) {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  if (announce) $("main").setAttribute("aria-busy", "true");
  try {
    const got = await (answer ?? load(wanted, mine.signal));
    if (mine !== asking || isReplaced(got.page)) return;
    data = got;
    showNumbers();
    trouble(null);
    if (announce) text($("announcement"), `${period(data.from, data.to)}: ${counted(data.orders, "order", "orders")}`);
  } catch (error) {
    if (mine !== asking) return;
    trouble(error);
    if (isWrong(error)) return;
  } finally {
    if (mine === asking) $("main").removeAttribute("aria-busy");
  }
  if (!document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

/** Whether the server has a newer page than this one; it is loaded then, once. */
function isReplaced(page) {
  if (import.meta.url.includes(`/${page}/`) || sessionStorage.getItem("loaded for") === page) return false;
  sessionStorage.setItem("loaded for", page);
  location.reload();
  return true;
}

function showNumbers() {
  const name = period(data.from, data.to);
  text($("span"), name);
  document.title = `Orders, ${name} – Marketing`;
  text($("zone"), data.timezone.replaceAll("_", " "));
  const complete = data.to < data.today;
  for (const node of document.querySelectorAll("[data-total]")) text(node, number(data[node.dataset.total]));
  for (const node of document.querySelectorAll("[data-before]")) before(node, complete);
  markPeriod();
  const empty = data.orders === 0;
  $("empty").hidden = !empty;
  $("charts").hidden = empty;
  if (empty) {
    text($("empty").querySelector("h2"), data.first_day ? `No orders: ${name}` : "No order has been counted yet");
    text($("empty").querySelector("p"), data.first_day
      ? `The first order that was counted is of ${period(data.first_day, data.first_day)}. Choose another period above.`
      : "The first one appears here by itself, within half a minute of being placed.");
  } else {
    show(data);
  }
}

function before(node, complete) {
  const measure = node.dataset.before;
  const { from, to, [measure]: was } = data.previous;
  if (!data.first_day || from < data.first_day) return node.replaceChildren(); // not all of it was counted
  const rise = complete ? change(data[measure], was) : "";
  const mark = document.createElement("span");
  mark.className = "change";
  mark.textContent = rise;
  node.replaceChildren(...(rise ? [mark, " "] : []), `${briefPeriod(from, to)}: ${number(was)}`);
}

function markPeriod() {
  const chosen = new URLSearchParams(wanted);
  const name = chosen.has("from") || chosen.has("to") ? null : chosen.get("period") ?? DEFAULT;
  for (const link of $("presets").querySelectorAll("a")) {
    if (link.search === `?period=${name}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const own = $("own").elements;
  if (chosen.has("from") || chosen.has("to")) {
    own.from.value = chosen.get("from") ?? "";
    own.to.value = chosen.get("to") ?? "";
  } else if (data && !$("own").contains(document.activeElement)) {
    own.from.value = data.from;
    own.to.value = data.to;
  }
}

function why(error) {
  if (error instanceof Refusal) return error.message;
  if (error instanceof Unreachable) return "The server cannot be reached.";
  console.error(error);
  return "The numbers came, but this page could not show them.";
}

/** Whether the question is at fault: asking again does not help. */
const isWrong = (error) => error instanceof Refusal && error.status < 500;

function trouble(error) {
  const light = $("light");
  $("trouble").hidden = !error;
  if (!error) {
    light.dataset.state = "fresh";
    text($("freshness"), `Updated ${clock(data.generated_at, data.timezone)}`);
    text($("trouble-text"), "");
    return;
  }
  light.dataset.state = "trouble";
  $("charts").hidden ||= !data;
  $("again").hidden = isWrong(error);
  const reason = why(error);
  const kept = data ? `The numbers are those of ${clock(data.generated_at, data.timezone)}. ` : "";
  const next = isWrong(error) ? "" : "This page tries again by itself.";
  text($("trouble-text"), `${reason} ${kept}${next}`.trim());
  text($("freshness"), data ? `Not updated since ${clock(data.generated_at, data.timezone)}` : "No numbers yet");
}

function go(search) {
  wanted = query(search);
  history.pushState(null, "", search);
  markPeriod();
  refresh(null, true);
}

$("presets").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(link.search);
});
$("own").addEventListener("submit", (event) => {
  event.preventDefault();
  const { from, to } = event.target.elements;
  go(`?${new URLSearchParams({ from: from.value, to: to.value })}`);
});
$("again").addEventListener("click", () => refresh(null, true));
addEventListener("popstate", () => {
  wanted = query(location.search);
  markPeriod();
  refresh(null, true);
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) refresh();
});
addEventListener("online", () => refresh());
addEventListener("pageshow", (event) => event.persisted && refresh()); // by the browser's back button
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
addEventListener("beforeprint", () => {
  document.documentElement.dataset.scheme = "light";
  recolour();
  resize(PAPER_PX);
});
addEventListener("afterprint", () => {
  delete document.documentElement.dataset.scheme;
  recolour();
  resize();
});

markPeriod();
refresh(first);
