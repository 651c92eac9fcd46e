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

/** The parameters of this page's address that name a period, as a query. */
export function query(address) {
  const given = new URLSearchParams(address);
  return new URLSearchParams(PARAMETERS.filter((name) => given.has(name)).map((name) => [name, given.get(name)])).toString();
}

/** The numbers of that period. Throws Refusal, or another error if the server cannot be reached. */
export async function load(wanted, signal) {
  const stop = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]);
  const answer = await fetch(wanted ? `dashboard?${wanted}` : "dashboard", { signal: stop, headers: { Accept: "application/json" } });
  const body = await answer.json().catch((error) => {
    if (stop.aborted) throw error;
    return null;
  });
  if (!answer.ok || body === null) throw new Refusal(answer.status, body?.detail ?? `The server answered ${answer.status}.`);
  return body;
}

export const first = load(query(location.search));
first.catch(() => {}); // whoever awaits it shows what is wrong; without this the console would say so as well
