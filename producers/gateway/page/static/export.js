// Conversations as files: Markdown for readers, JSON for programs.

import { pretty, textOf, told } from "/static/parts.js";

// A block of code whose fence no line of the text can end.
function fenced(text) {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}

function callOf({ name, arguments: given, output, error }) {
  return `**${name}**\n\n${fenced(pretty(given))}\n\n${fenced(textOf(error ? error.content : output))}`;
}

function answer(items) {
  const { reasoning, text, calls } = told(items);
  const thoughts = reasoning && reasoning.split("\n").map((line) => `> ${line}`).join("\n");
  return ["## Answer", thoughts, ...calls.map(callOf), text].filter(Boolean).join("\n\n");
}

/** A conversation as Markdown: `exchanges` has a question or the items of an answer in each place. */
export function markdown(title, exchanges) {
  const parts = exchanges.map((one) => (Array.isArray(one) ? answer(one) : `## You\n\n${textOf(one.content)}`));
  return `${[`# ${title}`, ...parts].join("\n\n")}\n`;
}

/** Give the reader a file. */
export function save(title, ending, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `${title.replace(/[^\p{L}\p{N} _-]/gu, "").trim() || "conversation"}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
