// Shows an answer: CommonMark with tables, made of elements and text nodes only, never of HTML.

// Its licence is at "/static/markdown-it.txt".
import markdownIt from "./markdown-it.js";

const MOST_CHARACTERS = 200_000;
const MOST_TOKENS = 30_000;
const DEEPEST = 60;
const COPIED_MS = 2000;

const reader = markdownIt("commonmark", { html: false, maxNesting: DEEPEST }).enable(["table", "strikethrough"]);
const NAMES = new Set(["p", "ul", "ol", "li", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "em", "strong", "s"]);
const LINK = /^(https?:|mailto:)/i;
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/i;

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function link(target, ...children) {
  const made = element("a", ...children);
  made.href = target;
  made.rel = "noopener noreferrer nofollow";
  made.target = "_blank";
  return made;
}

/** A picture that comes with the text. One that lies elsewhere is a link: loading it would tell its host of the text. */
export function picture(source, name) {
  if (!PICTURE.test(source)) return LINK.test(source) ? link(source, name || "Picture") : name;
  const made = element("img");
  made.src = source;
  made.alt = name;
  return made;
}

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https there is no clipboard, but what is selected can be copied.
    getSelection().selectAllChildren(from);
    document.execCommand("copy");
  }
}

/** A text as it is, with a button that copies it. */
export function code(text, language = "") {
  const body = element("pre", element("code", text));
  const button = element("button", "Copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    await copy(text, body);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, COPIED_MS);
  });
  const made = element("div", element("div", element("span", language), button), body);
  made.className = "code";
  return made;
}

function opened(token) {
  if (token.tag === "a" && LINK.test(token.attrGet("href"))) return link(token.attrGet("href"));
  const heading = /^h(\d)$/.exec(token.tag);
  // The page has two levels of its own.
  const made = element(heading ? `h${Math.min(6, Number(heading[1]) + 2)}` : NAMES.has(token.tag) ? token.tag : "span");
  if (token.tag === "ol") made.start = Number(token.attrGet("start") ?? 1);
  made.className = /^text-align:(\w+)$/.exec(token.attrGet("style") ?? "")?.[1] ?? "";
  return made;
}

const LEAVES = {
  code_block: (token) => code(token.content.replace(/\n$/, "")),
  fence: (token) => code(token.content.replace(/\n$/, ""), token.info.trim().split(/\s/)[0].slice(0, 40)),
  code_inline: (token) => element("code", token.content),
  image: (token) => picture(token.attrGet("src"), token.content),
  hr: () => element("hr"),
  hardbreak: () => element("br"),
  softbreak: () => element("br"),
};

// Emphasis may be nested as deep as a text is long; a browser that draws so deep a tree ends.
function build(tokens, top, depth) {
  const open = [top];
  for (const token of tokens) {
    const into = open.at(-1);
    if (token.nesting < 0) {
      open.pop();
    } else if (token.nesting > 0) {
      const made = token.hidden || depth + open.length > DEEPEST ? into : opened(token);
      if (made !== into) into.append(token.tag === "table" ? element("div", made) : made);
      open.push(made);
    } else if (token.type === "inline") {
      build(token.children, into, depth + open.length);
    } else {
      into.append(LEAVES[token.type]?.(token) ?? token.content);
    }
  }
  return top;
}

// The library leaves out parts that are nested too deep.
function isWhole(tokens) {
  const count = tokens.reduce((sum, token) => sum + 1 + (token.children?.length ?? 0), 0);
  return count > 0 && count <= MOST_TOKENS && tokens.every((token) => token.level < DEEPEST - 1);
}

/** The elements that show a text; one that is too large, or nested too deep, is shown as it is. */
export function render(text) {
  if (!text.trim()) return [];
  const tokens = text.length > MOST_CHARACTERS ? [] : reader.parse(text, {});
  return isWhole(tokens) ? [...build(tokens, element("div"), 0).childNodes] : [element("pre", text)];
}

/** Show a text that may have grown: what has not changed keeps its elements, and so a reader's selection. */
export function show(box, text) {
  const made = render(text);
  let same = 0;
  while (same < made.length && box.childNodes[same]?.isEqualNode(made[same])) same += 1;
  while (box.childNodes.length > same) box.lastChild.remove();
  box.append(...made.slice(same));
}
