// A department in another language: a point for each product. All it shares with the others is docs/contract.md.
// It keeps what it gave in POINTS_FILE, one line for each event; one process at a time.
import { createHash } from "node:crypto";
import { appendFile, readFile } from "node:fs/promises";
import amqp from "amqplib";

const NAME = "loyalty";
const VERSION = "1.0.0";
const PATTERNS = ["order.created.*"];
const ATTEMPTS_MAX = 5;
const TIERS = ["retry.1s", "retry.10s", "retry.1m", "retry.10m", "retry.1h"];
const CONTENT_TYPES = ["application/cloudevents+json", "application/json"];

class Undecodable extends Error {}

const connection = await amqp.connect(process.env.AMQP_URL, { clientProperties: { connection_name: NAME } });
const channel = await connection.createConfirmChannel();
connection.on("close", () => process.exit(draining ? 0 : 1)); // whoever started it starts it again
connection.on("error", (error) => console.error(`${NAME}: ${error.message}`));
let draining = false;
let underWay = 0;

const given = new Map(); // event id -> points, or their promise
await remember();
await declare();
await publish("events", `department.joined.${NAME}`, announcement());
await channel.prefetch(10);
const { consumerTag } = await channel.consume(NAME, (message) => message && handle(message));
console.log(`${NAME}: ready`);
process.on("SIGTERM", drain);
process.on("SIGINT", drain);

async function declare() {
  for (const shared of ["events", "departments", "dead", ...TIERS]) {
    await channel.checkExchange(shared); // not ours to declare: `bus topology declare` does
  }
  const dead = { "x-queue-type": "quorum", "x-delivery-limit": 1000000 };
  await channel.assertQueue(`${NAME}.dead`, { durable: true, arguments: dead });
  await channel.bindQueue(`${NAME}.dead`, "dead", NAME);
  const own = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 20,
    "x-dead-letter-exchange": "dead",
    "x-dead-letter-routing-key": NAME,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
  };
  await channel.assertQueue(NAME, { durable: true, arguments: own });
  await channel.bindQueue(NAME, "departments", NAME);
  for (const pattern of PATTERNS) await channel.bindQueue(NAME, "events", pattern);
}

// Publish with confirm, then acknowledge: whatever happens in between, the event comes again.
async function handle(message) {
  underWay += 1;
  try {
    try {
      const event = decode(message);
      await report(event, "done", { reference: `${await give(event)} points` });
    } catch (error) {
      await setAside(message, error);
    }
    channel.ack(message);
  } catch (error) {
    console.error(`${NAME}: ${error.message}`); // not confirmed: the broker delivers the event again
    channel.nack(message);
  } finally {
    underWay -= 1;
  }
}

// Once for each event, however often it comes: delivery is at least once.
function give(event) {
  if (!given.has(event.id)) {
    const points = event.data.product_ids.length;
    const line = `${JSON.stringify({ id: event.id, order: event.data.order_number, points })}\n`;
    const written = appendFile(process.env.POINTS_FILE, line).then(() => points);
    given.set(event.id, written);
    written.catch(() => given.delete(event.id));
  }
  return given.get(event.id);
}

async function remember() {
  const lines = await readFile(process.env.POINTS_FILE, "utf8").catch(() => "");
  for (const line of lines.split("\n").filter((text) => text.endsWith("}"))) {
    const { id, points } = JSON.parse(line);
    given.set(id, points);
  }
}

function originalKey(message) {
  const theirs = message.properties.headers["bus-routing-key"];
  return message.fields.exchange === "departments" && theirs ? theirs : message.fields.routingKey;
}

function decode(message) {
  const type = (message.properties.contentType || "application/json").split(";")[0].trim().toLowerCase();
  if (!CONTENT_TYPES.includes(type)) throw new Undecodable("content type is not JSON");
  let event;
  try {
    event = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(message.content));
  } catch {
    throw new Undecodable("body is not UTF-8 JSON");
  }
  const [noun, verb, region] = originalKey(message).split(".");
  if (!/^1\.\d+$/.test(event?.specversion)) throw new Undecodable("specversion is not 1.x");
  if (event.type !== `${noun}.${verb}`) throw new Undecodable("type differs from the routing key");
  if (typeof event.id !== "string" || !event.id) throw new Undecodable("id: expected a text");
  if (event.data?.region !== region) throw new Undecodable("data.region differs from the routing key");
  if (typeof event.data.order_number !== "string") throw new Undecodable("data.order_number: expected a text");
  if (!Array.isArray(event.data.product_ids)) throw new Undecodable("data.product_ids: expected a list");
  return event;
}

// What cannot be read, or failed five times, is parked for a person; else it comes back through a retry tier.
async function setAside(message, error) {
  const { headers, properties } = kept(message);
  const attempt = Number.isInteger(headers["bus-attempt"]) && headers["bus-attempt"] > 0 ? headers["bus-attempt"] + 1 : 1;
  Object.assign(headers, {
    "bus-attempt": attempt,
    "bus-routing-key": originalKey(message),
    "bus-reason": error.message.slice(0, 500),
    "bus-first-failed-at": headers["bus-first-failed-at"] ?? new Date().toISOString(),
  });
  const undecodable = error instanceof Undecodable;
  if (undecodable || attempt >= ATTEMPTS_MAX) {
    headers["bus-reason-class"] = undecodable ? "undecodable" : "exhausted";
    headers["bus-parked-at"] = new Date().toISOString();
    if (!undecodable) await report(decode(message), "attention", { detail: "given up after five attempts" });
    await confirmed("dead", NAME, message.content, { ...properties, headers });
  } else {
    if (attempt === 1) await report(decode(message), "waiting", { attempt });
    await confirmed(TIERS[attempt - 1], NAME, message.content, { ...properties, headers });
  }
}

// Everything of the message but what the broker added, what would delete it and what would refuse it.
function kept(message) {
  const { headers: theirs, expiration, userId, clusterId, ...properties } = message.properties;
  const headers = Object.fromEntries(
    Object.entries(theirs).filter(([name]) => !/^x-(death|delivery-count|acquired-count|first-death-|last-death-)/.test(name)),
  );
  return { headers, properties: { ...properties, deliveryMode: 2 } };
}

function report(event, state, more) {
  const { order_number } = event.data;
  const data = { order_number, department: NAME, state, cause_id: event.id, cause_type: event.type, ...more };
  const id = uuid5(`${event.id}/${NAME}/${state}`); // derived: a repeat says the same
  return publish("events", `order.progressed.${NAME}`, envelope(id, "order.progressed", order_number, data));
}

function announcement() {
  const time = new Date().toISOString();
  const id = uuid5(`/departments/${NAME}/department.joined/${time}`);
  const data = { department: NAME, patterns: PATTERNS, version: VERSION };
  return { ...envelope(id, "department.joined", NAME, data), time };
}

function envelope(id, type, subject, data) {
  const time = new Date().toISOString();
  const source = `/departments/${NAME}`;
  return { specversion: "1.0", id, source, type, subject, time, datacontenttype: "application/json", data };
}

function publish(exchange, key, event) {
  return confirmed(exchange, key, Buffer.from(JSON.stringify(event)), {
    contentType: "application/cloudevents+json",
    deliveryMode: 2,
    messageId: event.id,
    type: event.type,
    appId: NAME,
    timestamp: Math.floor(Date.now() / 1000),
  });
}

function confirmed(exchange, key, content, properties) {
  return new Promise((resolve, reject) => {
    channel.publish(exchange, key, content, properties, (error) => (error ? reject(error) : resolve()));
  });
}

// RFC 9562: SHA-1 of the namespace (here that of URLs) and the name.
function uuid5(name) {
  const namespace = Buffer.from("6ba7b8119dad11d180b400c04fd430c8", "hex");
  const bytes = createHash("sha1").update(namespace).update(name, "utf8").digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x50;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function drain() {
  if (draining) return;
  draining = true;
  await channel.cancel(consumerTag);
  while (underWay > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await channel.close();
  await connection.close();
}
