// The page's Markdown, in node alone: no answer, however made, may keep the page busy.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

class Element {
  constructor(name) {
    this.name = name;
    this.childNodes = [];
  }

  append(...children) {
    this.childNodes.push(...children);
  }

  addEventListener() {}

  get html() {
    const shown = Object.entries(this).filter(([name, value]) => ["href", "start", "className", "src"].includes(name) && value !== "");
    const inside = this.childNodes.map((child) => child.html ?? child).join("");
    return `<${[this.name, ...shown.map(([name, value]) => `${name}=${value}`)].join(" ")}>${inside}</${this.name}>`;
  }

  get depth() {
    return 1 + Math.max(0, ...this.childNodes.map((child) => child.depth ?? 0));
  }
}

globalThis.document = { createElement: (name) => new Element(name) };
const STATIC = new URL("../../producers/gateway/page/static/", import.meta.url);
const { render } = await import(new URL("text.js", STATIC));
const html = (text) => render(text).map((made) => made.html).join("");

const SIZE = 50_000;
const MICROSECONDS = 2_000_000;
const FLOODS = {
  "opening brackets": "[".repeat(SIZE),
  "links without an end": "[a](http://x".repeat(SIZE / 10),
  "brackets with words": "[a ".repeat(SIZE / 3),
  "backticks in one run": `a ${"`".repeat(SIZE)}`,
  "backticks in growing runs": Array.from({ length: 300 }, (_, n) => `${"`".repeat(n + 1)} a`).join(""),
  "backticks one by one": "` ".repeat(SIZE / 2) + "`",
  "bold without an end": "**a ".repeat(SIZE / 4),
  "asterisks": "*".repeat(SIZE),
  "pictures without an end": "![".repeat(SIZE / 2),
  "letters between brackets": "[a".repeat(SIZE / 2),
  "brackets that close": "[".repeat(SIZE / 2) + "]".repeat(SIZE / 2),
  "links to nowhere": "[a](".repeat(SIZE / 4),
  "stars and lines": "*_".repeat(SIZE / 2),
  "quotes": `${"> ".repeat(SIZE / 2)}a`,
  "opening angles": "<".repeat(SIZE),
  "comments": "<!--".repeat(SIZE / 4),
  "columns": `${"|a".repeat(3000)}\n${"|-".repeat(3000)}\n${"x\n".repeat(3000)}`,
  "references": Array.from({ length: 3000 }, (_, n) => `[${n}]: x\n`).join("") + "[1]".repeat(3000),
  "lines": "a\n".repeat(SIZE / 2),
  "a heading of spaces": `#${" ".repeat(SIZE)}x\ny`,
  "a list of spaces": `-${" ".repeat(SIZE)}\r\r`,
};

for (const [name, text] of Object.entries(FLOODS)) {
  test(`${name} are shown at once`, () => {
    const began = process.cpuUsage();
    const shown = html(text);
    const { user, system } = process.cpuUsage(began);
    assert.ok(user + system < MICROSECONDS, `${user + system} µs`);
    assert.ok(shown);
  });
}

for (const [name, text] of Object.entries({
  stars: `${"*".repeat(SIZE)}a${"*".repeat(SIZE)}`,
  underscores: "_a ".repeat(SIZE / 2),
  quotes: `${">".repeat(SIZE)}a`,
  lists: `${"- ".repeat(SIZE / 2)}a`,
})) {
  test(`${name} are not nested without end`, () => {
    assert.ok(Math.max(...render(text).map((made) => made.depth)) < 80);
  });
}

test("a text that is too large or too deep is shown as it is", () => {
  const large = "**a** ".repeat(SIZE);
  assert.equal(html(large), `<pre>${large}</pre>`);
  const deep = `${"> ".repeat(SIZE)}a`;
  assert.equal(html(deep), `<pre>${deep}</pre>`);
  const cells = `${"|a".repeat(2000)}\n${"|-".repeat(2000)}\n${"x\n".repeat(2000)}`;
  assert.equal(html(cells), `<pre>${cells}</pre>`);
});

for (const [name, text, shown] of [
  ["inline", "a `b` ``c ` d`` `e **f** *g* ~~h~~",
    "<p>a <code>b</code> <code>c ` d</code> `e <strong>f</strong> <em>g</em> <s>h</s></p>"],
  ["what is no markup", "** b ** [1] a_b_c 2 * 3 * 4", "<p>** b ** [1] a_b_c 2 * 3 * 4</p>"],
  ["HTML", "<b>a</b> <!-- c -->\n\n<script>x</script>", "<p><b>a</b> <!-- c --></p><p><script>x</script></p>"],
  ["headings", "# A\n\nB\n===\n\n###### C", "<h3>A</h3><h3>B</h3><h6>C</h6>"],
  ["lists", "3. a\n4. b\n   - c\n   - d\n\n* e\n\n* f",
    "<ol start=3><li>a</li><li>b<ul><li>c</li><li>d</li></ul></li></ol><ul><li><p>e</p></li><li><p>f</p></li></ul>"],
  ["a table", "| a | b |\n|--:|---|\n| **1** | `2` |",
    "<div><table><thead><tr><th className=right>a</th><th>b</th></tr></thead>"
    + "<tbody><tr><td className=right><strong>1</strong></td><td><code>2</code></td></tr></tbody></table></div>"],
  ["code", "```js\nlet a = '<u>';\n```",
    "<div className=code><div><span>js</span><button>Copy</button></div><pre><code>let a = '<u>';</code></pre></div>"],
  ["code that is still written", "a\n```\n**b**\n",
    "<p>a</p><div className=code><div><span></span><button>Copy</button></div><pre><code>**b**</code></pre></div>"],
  ["quotes and lines", "> a\n> b\n\n---\nc  \nd", "<blockquote><p>a<br></br>b</p></blockquote><hr></hr><p>c<br></br>d</p>"],
  ["links", "[a](https://x/y) [b][1] <mailto:c@d>\n\n[1]: http://e",
    "<p><a href=https://x/y>a</a> <a href=http://e>b</a> <a href=mailto:c@d>mailto:c@d</a></p>"],
  ["links to elsewhere", "[a](javascript:alert(1)) [b](/docs) [c](data:text/html,x) [d](ftp://e)",
    "<p>[a](javascript:alert(1)) <span>b</span> [c](data:text/html,x) <span>d</span></p>"],
  ["pictures", "![a](https://x/y.png) ![b](data:image/png;base64,AAAA) ![c](z.png) ![d](data:image/svg+xml;base64,AAAA)",
    "<p><a href=https://x/y.png>a</a> <img src=data:image/png;base64,AAAA></img> c ![d](data:image/svg+xml;base64,AAAA)</p>"],
  ["definitions alone", "[a]: http://x", "<pre>[a]: http://x</pre>"],
  ["nothing", " \n", ""],
]) {
  test(`Markdown: ${name}`, () => assert.equal(html(text), shown));
}

test("the library is the package that is locked", async () => {
  const locked = await readFile(new URL("node_modules/markdown-it/dist/browser/markdown-it.esm.min.mjs", import.meta.url), "utf8");
  const own = await readFile(new URL("markdown-it.js", STATIC), "utf8");
  assert.equal(own, locked.replace(/^\/\/# sourceMappingURL.*\n?/m, ""));
  const licence = await readFile(new URL("node_modules/markdown-it/LICENSE", import.meta.url), "utf8");
  assert.ok((await readFile(new URL("markdown-it.txt", STATIC), "utf8")).includes(licence.trim()));
});
