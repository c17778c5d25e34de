// Shows an answer: the common part of Markdown, made of elements and text nodes only, never of HTML.

// Every part is bounded, and a run of backticks is taken whole: text of any length costs a time in proportion to it.
const INLINE =
  /(`+)(?!`)([^`]|[^`][^]{0,2000}?[^`])\1(?!`)|`+|\*\*(\S|\S[^]{0,2000}?\S)\*\*|\[([^[\]]{1,500})\]\((https?:\/\/[^\s)]{1,2000})\)/g;

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function link(text, target) {
  const made = element("a", text);
  made.href = target;
  made.rel = "noopener noreferrer nofollow";
  made.target = "_blank";
  return made;
}

function* inline(text) {
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > at) yield text.slice(at, match.index);
    if (match[2] !== undefined) yield element("code", match[2]);
    else if (match[3] !== undefined) yield element("strong", ...inline(match[3]));
    else if (match[4] !== undefined) yield link(match[4], match[5]);
    else yield match[0];
    at = match.index + match[0].length;
  }
  if (at < text.length) yield text.slice(at);
}

function lines(text) {
  return text.split("\n").flatMap((line, n) => (n ? [element("br"), ...inline(line)] : [...inline(line)]));
}

const LIST = /^\s*(?:[-*+]|(\d+)[.)])\s+([^]*)$/;

function list(rows) {
  const matches = rows.map((row) => LIST.exec(row));
  const made = element(matches[0][1] ? "ol" : "ul", ...matches.map((match) => element("li", ...inline(match[2]))));
  if (matches[0][1]) made.start = Number(matches[0][1]);
  return made;
}

function block(text) {
  const heading = /^#{1,6}\s+(\S.*)$/.exec(text);
  if (heading) return element("h3", ...inline(heading[1]));
  const rows = text.split("\n");
  return rows.every((row) => LIST.test(row)) ? list(rows) : element("p", ...lines(text));
}

/** The elements that show a text. */
export function render(text) {
  const made = [];
  // A fence that is still open runs to the end: the answer may be growing.
  text.split(/^ {0,3}```[^\n]*\n?/m).forEach((part, n) => {
    if (n % 2) made.push(element("pre", element("code", part.replace(/\n$/, ""))));
    else made.push(...part.split(/\n{2,}/).map((p) => p.trim()).filter(Boolean).map(block));
  });
  return made;
}
