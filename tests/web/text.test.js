// The page's Markdown, in node alone: no answer, however made, may keep the page busy.

import assert from "node:assert/strict";
import { test } from "node:test";

class Element {
  constructor(name) {
    this.name = name;
    this.children = [];
  }

  append(...children) {
    this.children.push(...children);
  }

  get html() {
    return `<${this.name}>${this.children.map((child) => child.html ?? child).join("")}</${this.name}>`;
  }
}

globalThis.document = { createElement: (name) => new Element(name) };
const { render } = await import("../../producers/gateway/page/static/text.js");
const html = (text) => render(text).map((made) => made.html).join("");

const SIZE = 50_000;
const MILLISECONDS = 2_000;
const FLOODS = {
  "opening brackets": "[".repeat(SIZE),
  "links without an end": "[a](http://x".repeat(SIZE / 10),
  "brackets with words": "[a ".repeat(SIZE / 3),
  "backticks in one run": `a ${"`".repeat(SIZE)}`,
  "backticks in growing runs": Array.from({ length: 300 }, (_, n) => `${"`".repeat(n + 1)} a`).join(""),
  "backticks one by one": "` ".repeat(SIZE / 2) + "`",
  "bold without an end": "**a ".repeat(SIZE / 4),
  "asterisks": "*".repeat(SIZE),
  "a heading of spaces": `#${" ".repeat(SIZE)}x\ny`,
  "a list of spaces": `-${" ".repeat(SIZE)}\r\r`,
};

for (const [name, text] of Object.entries(FLOODS)) {
  test(`${name} are shown at once`, () => {
    const began = performance.now();
    const shown = html(text);
    assert.ok(performance.now() - began < MILLISECONDS, `${performance.now() - began} ms`);
    assert.ok(shown.length > text.trim().length / 2);
  });
}

test("what is no markup stays as it is", () => {
  assert.equal(html("a `b` ``c ` d`` `e"), "<p>a <code>b</code> <code>c ` d</code> `e</p>");
  assert.equal(html("**a** ** b ** [1] [x](ftp://y) [see [1](https://z)"), "<p><strong>a</strong> ** b ** [1] [x](ftp://y) [see <a>1</a></p>");
  assert.equal(html("# T\n\n1. one\n2. two"), "<h3>T</h3><ol><li>one</li><li>two</li></ol>");
});
