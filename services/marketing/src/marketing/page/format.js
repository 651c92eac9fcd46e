// Numbers and dates as people read them. Days are the business's: they are never shifted to the reader's own zone.

const LANGUAGE = "en-GB";
const whole = new Intl.NumberFormat(LANGUAGE);
const short = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 0, signDisplay: "exceptZero" });
const parts = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumSignificantDigits: 2 });
const date = (options) => new Intl.DateTimeFormat(LANGUAGE, { timeZone: "UTC", ...options });
const dayMonth = date({ day: "numeric", month: "short" });
const weekday = date({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const full = date({ day: "numeric", month: "short", year: "numeric" });
const month = date({ month: "short", year: "numeric" });

export const number = (value) => whole.format(value);
export const brief = (value) => short.format(value);
export const counted = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;

const moment = (day) => new Date(`${day}T00:00:00Z`);

/** "+12%" or "−3%", or nothing where there is nothing to compare with. */
export function change(value, before) {
  return before > 0 ? percent.format((value - before) / before).replace("-", "\u2212") : "";
}

/** "26 Oct – 24 Nov 2026". */
export function period(from, to) {
  return from === to ? weekday.format(moment(from)) : full.formatRange(moment(from), moment(to));
}

/** The same without the year. */
export function briefPeriod(from, to) {
  return dayMonth.formatRange(moment(from), moment(to));
}

/** "22%". */
export const share = (part, all) => parts.format(part / all);

/** The time of day of that moment, in the business's zone. */
export function clock(instant, zone) {
  return new Intl.DateTimeFormat(LANGUAGE, { timeStyle: "medium", timeZone: zone }).format(new Date(instant));
}

/** How each step of a chart over time is called: briefly under the chart, in full in tables. */
export function stepNames(groups, interval, days) {
  const keys = groups.map((group) => group[interval]);
  if (interval === "hour") {
    const walls = keys.map((key) => key.slice(0, 16));
    return keys.map((key) => {
      const twice = walls.filter((wall) => wall === key.slice(0, 16)).length > 1; // clocks go back
      const time = `${key.slice(11, 16)}${twice ? ` (UTC${key.slice(19)})` : ""}`;
      return { axis: time, full: days > 1 ? `${dayMonth.format(moment(key.slice(0, 10)))}, ${time}` : time };
    });
  }
  if (interval === "month") return keys.map((key) => ({ axis: month.format(moment(key)), full: month.format(moment(key)) }));
  if (interval === "week") return keys.map((key) => ({ axis: dayMonth.format(moment(key)), full: `Week of ${full.format(moment(key))}` }));
  return keys.map((key) => ({ axis: dayMonth.format(moment(key)), full: weekday.format(moment(key)) }));
}
