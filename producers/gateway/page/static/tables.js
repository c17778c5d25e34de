// Tables that are drawn again and again: a row keeps its elements as long as it is there, and so the keyboard its place.

import { make } from "/static/elements.js";

function write(cell, content) {
  if (content instanceof Node) {
    if (!cell.firstChild) cell.append(content);
  } else if (cell.textContent !== `${content}`) {
    cell.textContent = content;
  }
}

/** A section with a title and a table. A column has a title, `of` for a row's text, and `kind`; `make`, for an element, in its stead. */
export class Table {
  constructor(section, title, columns, none) {
    this.columns = columns;
    this.body = make("tbody", "");
    this.none = make("p", "faint", none);
    this.known = new Map();
    const heads = columns.map(({ title: text, kind }) => {
      const head = make("th", kind ?? "", text);
      head.scope = "col";
      return head;
    });
    this.scroll = make("div", "scroll", make("table", "", make("thead", "", make("tr", "", ...heads)), this.body));
    section.replaceChildren(make("h2", "", title), this.scroll, this.none);
  }

  row(one) {
    const made = make("tr", "", ...this.columns.map(({ kind }) => make("td", kind ?? "")));
    this.columns.forEach((column, place) => column.make && made.children[place].append(column.make(one)));
    return made;
  }

  draw(rows, key) {
    const drawn = new Map(rows.map((one) => [one[key], this.known.get(one[key]) ?? this.row(one)]));
    for (const one of rows) {
      this.columns.forEach((column, place) => column.of && write(drawn.get(one[key]).children[place], column.of(one)));
    }
    this.known = drawn;
    this.scroll.hidden = !rows.length;
    this.none.hidden = rows.length > 0;
    const wanted = [...drawn.values()];
    if (wanted.length === this.body.children.length && wanted.every((row, place) => row === this.body.children[place])) return;
    const focused = document.activeElement;
    this.body.replaceChildren(...wanted);
    if (focused?.isConnected) focused.focus({ preventScroll: true });
  }
}
