// The documentation of the API: its OpenAPI document, made readable.

import { make } from "/static/elements.js";
import { render } from "/static/text.js";

const at = (id) => document.getElementById(id);
const code = (text) => make("code", "", text);
const between = (lists) => lists.flatMap((list, n) => (n ? [" or ", ...list] : list));
let types = {};

const named = (schema) => schema.$ref?.split("/").pop();

function link(name) {
  const made = make("a", "", name);
  made.href = `#${name}`;
  return made;
}

/** What fits a schema, in a few words. */
function kind(schema) {
  if (named(schema)) return [link(named(schema))];
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches) return between(branches.map(kind));
  if (schema.const !== undefined) return [code(JSON.stringify(schema.const))];
  if (schema.enum) return between(schema.enum.map((value) => [code(JSON.stringify(value))]));
  if (schema.type === "array") return ["list of ", ...kind(schema.items ?? {})];
  return [schema.type ?? "anything"];
}

function row(name, schema, required, about) {
  const title = make("dt", "", code(name), " ", make("span", "faint", ...kind(schema), required ? ", required" : ""));
  return about ? [title, make("dd", "", ...render(about))] : [title];
}

function fields(schema) {
  const entries = Object.entries(schema.properties ?? {});
  const rows = entries.flatMap(([name, one]) => row(name, one, schema.required?.includes(name), one.description));
  return rows.length ? make("dl", "", ...rows) : make("p", "faint", ...kind(schema));
}

function answer([status, one]) {
  const shapes = Object.values(one.content ?? {}).map(({ schema }) => kind(schema ?? {}));
  return [make("dt", "", code(status), " ", one.description), make("dd", "", ...between(shapes))];
}

function parts(title, ...content) {
  return content.length ? [make("h3", "", title), ...content] : [];
}

/** Of the branches of an optional body, the one that says what is in it. */
function whole(schema) {
  const found = named(schema) ?? schema.anyOf?.map(named).find(Boolean);
  return found ? types[found] : schema;
}

function call(path, [method, about]) {
  const given = (about.parameters ?? []).flatMap((one) =>
    row(one.name, one.schema ?? {}, one.required, [`in the ${one.in}`, one.description].filter(Boolean).join(": ")));
  const bodies = Object.values(about.requestBody?.content ?? {}).map(({ schema }) => fields(whole(schema)));
  return make("details", "",
    make("summary", "", make("span", "method", method.toUpperCase()), code(path), " ", make("span", "faint", about.summary ?? "")),
    ...render(about.description ?? ""),
    ...parts("Parameters", ...(given.length ? [make("dl", "", ...given)] : [])),
    ...parts("Body", ...bodies),
    ...parts("Answers", make("dl", "", ...Object.entries(about.responses).flatMap(answer))));
}

function type([name, schema]) {
  const made = make("details", "", make("summary", "", code(name)), ...render(schema.description ?? ""), fields(schema));
  made.id = name;
  return made;
}

function* sections(paths) {
  const groups = new Map();
  for (const [path, calls] of Object.entries(paths)) {
    for (const entry of Object.entries(calls)) {
      const tag = entry[1].tags?.[0] ?? "Other";
      groups.set(tag, [...(groups.get(tag) ?? []), call(path, entry)]);
    }
  }
  for (const [tag, calls] of groups) yield make("section", "", make("h2", "", tag), ...calls);
}

function unfold() {
  const target = at(location.hash.slice(1));
  if (!target) return;
  target.open = true;
  target.scrollIntoView();
}

async function read() {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`The document cannot be had (${answer.status}).`);
  const api = await answer.json();
  types = api.components?.schemas ?? {};
  const made = Object.entries(types).map(type);
  at("about").before(...render(api.info.description ?? ""));
  at("calls").append(...sections(api.paths), make("section", "", make("h2", "", "Types"), ...made));
  unfold();
}

window.addEventListener("hashchange", unfold);
read()
  .catch((error) => at("calls").append(make("p", "failed", error.message)))
  .finally(() => at("calls").setAttribute("aria-busy", "false"));
