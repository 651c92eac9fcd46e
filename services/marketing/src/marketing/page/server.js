// Asks the server for the numbers. The first request leaves as soon as this file is read: charts are loaded meanwhile.

const TIMEOUT_MS = 15000;
const PARAMETERS = ["period", "from", "to"];

/** The server has answered, with a problem: `status` is HTTP's, the message is the server's own. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Nobody has answered, or not in time. */
export class Unreachable extends Error {}

/** The parameters of this page's address that name a period, as a query. */
export function query(address) {
  const given = new URLSearchParams(address);
  return new URLSearchParams(PARAMETERS.filter((name) => given.has(name)).map((name) => [name, given.get(name)])).toString();
}

/** The numbers of that period. Throws Refusal or Unreachable. */
export async function load(wanted, signal) {
  const stop = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]);
  const { ok, status, text } = await ask(wanted ? `dashboard?${wanted}` : "dashboard", stop);
  const body = parsed(text);
  if (!ok || body === null) throw new Refusal(status, body?.detail ?? `The server answered ${status}, and no numbers.`);
  return body;
}

async function ask(url, signal) {
  try {
    const answer = await fetch(url, { signal, headers: { Accept: "application/json" } });
    return { ok: answer.ok, status: answer.status, text: await answer.text() };
  } catch (error) {
    throw new Unreachable(url, { cause: error });
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a proxy's own page
  }
}

export const first = load(query(location.search));
first.catch(() => {}); // whoever awaits it shows what is wrong; without this the console would say so as well
