// The page for operators: what is there now, asked for every two seconds, and turns that are looked at, cancelled and retried.

import { ApiError, call } from "/static/api.js";
import { button, make } from "/static/elements.js";
import { plot } from "/static/plots.js";
import { askKey, at, network, trouble } from "/static/screen.js";
import { Table } from "/static/tables.js";

const PAUSE_MS = 2000;
const SILENT = "No answer";
const MOMENTS = new Set(["created", "started", "finished"]);
const SMALL = { maximumSignificantDigits: 2 };
const number = (value) => value.toLocaleString("en", value < 1 ? SMALL : { maximumFractionDigits: value < 100 ? 1 : 0 });
const some = (value) => (value ? number(value) : "");
const of = (used, limit) => (limit ? `${number(used)} of ${number(limit)}` : "");
let flower = "";

function age(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

function link(text, href) {
  const made = make("a", "", text);
  made.href = href;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

/** Make a request; a missing or wrong key is asked for, and the request made with it. All else that goes wrong is told. */
async function request(path, options) {
  for (;;) {
    try {
      return await call(path, options);
    } catch (error) {
      if (!(error instanceof ApiError) || !(error.status === 401 || error.code === "wrong_role")) throw error;
      await askKey(error.message);
    }
  }
}

async function act(turn, word) {
  if (!confirm(`${word === "cancel" ? "Cancel" : "Retry"} turn ${turn}?`)) return;
  trouble(null);
  try {
    const { state } = await request(`/admin/turns/${encodeURIComponent(turn)}/${word}`, { method: "POST" });
    network(`${turn}: ${state}`);
    at("turn").close();
    await look();
  } catch (error) {
    trouble(error);
  }
}

function said(name, value) {
  if (MOMENTS.has(name)) return new Date(value * 1000).toISOString().replace("T", " ").slice(0, 19);
  if (Array.isArray(value)) return value.map((one) => (one.name ? Object.values(one).join(" ") : one)).join(", ");
  return typeof value === "object" ? Object.entries(value).map(([key, count]) => `${key} ${number(count)}`).join(", ") : `${value}`;
}

const acts = (turn, waits, failed) => [
  ...(waits ? [button("quiet", "Cancel", () => act(turn, "cancel"))] : []),
  ...(failed ? [button("quiet", "Retry", () => act(turn, "retry"))] : []),
];

async function open(turn) {
  trouble(null);
  try {
    const facts = await request(`/admin/turns/${encodeURIComponent(turn)}`);
    const shown = Object.entries(facts).filter(([, value]) => value && (typeof value !== "object" || Object.keys(value).length));
    at("turn-title").textContent = `Turn ${turn}`;
    at("facts").replaceChildren(...shown.flatMap(([name, value]) =>
      [make("dt", "", name.replaceAll("_", " ")), make("dd", "", said(name, value))]));
    const task = flower ? [link("In Flower", `${flower}/task/${encodeURIComponent(turn)}`)] : [];
    const going = facts.state === "queued" || facts.state === "running";
    at("acts").replaceChildren(...task, ...acts(turn, going, facts.state === "failed"), button("", "Close", () => at("turn").close()));
    if (!at("turn").open) at("turn").showModal();
  } catch (error) {
    trouble(error);
  }
}

const TURN = [
  { title: "Turn", make: (one) => button("quiet name", one.turn, () => open(one.turn)) },
  { title: "Session", kind: "name", of: (one) => one.session },
  { title: "Queue", of: (one) => one.queue },
];
const attempts = (all, uncounted) => (uncounted ? `${number(all - uncounted)} (+${number(uncounted)} not counted)` : all);
const ATTEMPTS = { title: "Attempts", kind: "number", of: (one) => attempts(one.attempts, one.uncounted_attempts) };
const column = (title, of, kind = "number") => ({ title, kind, of });
const does = (...words) => ({ title: "", kind: "acts", make: (one) => make("div", "row", ...acts(one.turn, ...words)) });

const tables = {
  running: new Table(at("running"), "Turns at work", [
    ...TURN, column("For", (one) => age(one.seconds)), ATTEMPTS, column("Steps", (one) => some(one.steps)),
    column("Calls", (one) => some(one.model_calls)), column("Tokens", (one) => some(one.tokens)),
    column("Worker", (one) => one.worker, "name"), does(true, false),
  ], "No turn is at work."),
  waiting: new Table(at("waiting"), "Longest waits, one of each session", [
    ...TURN, column("For", (one) => age(one.seconds)),
    column("Why", (one) => (one.waits_for ? `budget of ${one.waits_for}` : one.phase), "name"), ATTEMPTS,
    column("Behind it", (one) => some(one.behind)), does(true, false),
  ], "No turn waits."),
  failed: new Table(at("failed"), "Failed last", [
    ...TURN, column("Ago", (one) => age(one.seconds)), column("Code", (one) => one.code, "name bad"), ATTEMPTS, does(false, true),
  ], "No turn has failed."),
  held: new Table(at("held"), "Sessions that wait for answers", [
    column("Session", (one) => one.session, "name"), column("For", (one) => age(one.seconds)),
  ], "No session waits for answers to open calls."),
  workers: new Table(at("workers"), "Workers", [
    column("Worker", (one) => one.name, "name"), column("Busy", (one) => one.busy), column("Slots", (one) => one.slots),
    column("Age", (one) => age(one.seconds)), column("Version", (one) => one.version, "name"),
    column("Hangs", (one) => one.hangs.join(", "), "name bad"),
  ], "No worker is at work."),
  budgets: new Table(at("budgets"), "Budgets of models", [
    column("Model", (one) => one.model, "name"), column("Requests a minute", (one) => of(one.requests_spent, one.requests)),
    column("Tokens a minute", (one) => of(one.tokens_spent, one.tokens)),
    column("Calls under way", (one) => of(one.calls, one.concurrent) || one.calls), column("Turns wait", (one) => some(one.waiting)),
    column("Longest wait", (one) => (one.longest_wait ? age(one.longest_wait) : "")), column("Pauses for", (one) => (one.paused ? age(one.paused) : "")),
  ], "No model has a budget now."),
  tenants: new Table(at("tenants"), "Tenants", [
    column("Tenant", (one) => one.name, "name"), column("Unfinished", (one) => some(one.unfinished)),
    column("Slots", (one) => some(one.slots)), column("Turns today", (one) => some(one.turns)),
    column("Tokens today", (one) => some(one.tokens)), column("Cost today", (one) => some(one.cost)),
  ], "No tenant had turns of late."),
  codes: new Table(at("codes"), "Failures by code", [
    column("Code", (one) => one.code, "name"), column("Failed", (one) => some(one.failed)),
    column("Tried again", (one) => some(one.returned)),
  ], "Nothing has failed."),
};
const KEYS = { running: "turn", waiting: "turn", failed: "turn", held: "session", workers: "name", tenants: "name" };

const PLOTS = [
  ["At work", "running"], ["Ready", "ready"], ["Blocked", "blocked"], ["Mean wait (s)", "ready_seconds"],
  ["Accepted/min", "accepted"], ["Completed/min", "completed"], ["Failed/min", "failed"],
  ["Tried again/min", "returned"], ["Tokens/min", "tokens"], ["Cost/min", "cost"],
];

function tiles({ turns, slots, oldest_ready_seconds: oldest, queues, webhooks, redis_latency_ms: latency }) {
  return {
    "at work": number(turns.running), ready: number(turns.ready), blocked: number(turns.blocked), held: number(turns.held),
    "slots in use": `${number(slots.busy)} of ${number(slots.all)}`, "longest ready wait": age(oldest),
    ...Object.fromEntries(Object.entries(queues).map(([name, count]) => [`queue ${name}`, number(count)])),
    "webhooks waiting": number(webhooks.waiting), "webhooks given up": number(webhooks.undelivered), Redis: `${number(latency)} ms`,
  };
}

function draw(seen) {
  flower = seen.flower.replace(/\/$/, "");
  at("links").replaceChildren(...(flower ? [link("Flower", flower), link("Workers in Flower", `${flower}/workers`)] : []));
  at("at").textContent = new Date(seen.at * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC";
  const shownNow = Object.entries(tiles(seen));
  at("now").replaceChildren(...shownNow.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
  const shown = PLOTS.filter(([, name]) => name !== "cost" || seen.last_hour.some((point) => point.cost));
  at("plots").replaceChildren(...shown.map(([title, name]) => plot(title, seen.last_hour, name, seen.at, number)));
  for (const [name, key] of Object.entries(KEYS)) tables[name].draw(seen[name], key);
  tables.budgets.draw(seen.budgets.map((one, place) => ({ ...one, place })), "place");
  const codes = [...new Set([...Object.keys(seen.failures), ...Object.keys(seen.returned)])];
  tables.codes.draw(codes.map((code) => ({ code, failed: seen.failures[code], returned: seen.returned[code] })), "code");
}

async function look() {
  draw(await request("/admin/overview"));
  at("all").setAttribute("aria-busy", "false");
}

function answered() {
  if (at("network").textContent.startsWith(SILENT)) network("");
}

async function watch() {
  for (;;) {
    if (!document.hidden) {
      await look().then(answered, (error) => network(`${SILENT}: ${error.message}`));
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

at("change-key").addEventListener("click", () => askKey("An operator's key.").then(look, trouble));
watch();
