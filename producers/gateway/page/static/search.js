// Finds conversations by their names, and by what was said in them lately.

import { recent } from "/static/api.js";
import { textOf } from "/static/parts.js";
import { at } from "/static/screen.js";
import * as sessions from "/static/sessions.js";

const PAUSE_MS = 300;
const MOST_CONVERSATIONS = 100;
const MOST_CHARACTERS = 200_000;

const folded = (text) => text.toLowerCase();

/** A search. `changed` is called when other conversations match. */
export class Search {
  constructor(changed) {
    this.changed = changed;
    this.texts = new Map();
    this.round = 0;
    // Conversations may be read anew for each search, but not for each letter.
    at("search").addEventListener("focus", () => this.texts.clear());
    at("search").addEventListener("input", () => this.look());
  }

  get wanted() {
    return folded(at("search").value.trim());
  }

  matches(session) {
    return folded(session.title).includes(this.wanted) || (this.texts.get(session.id) ?? "").includes(this.wanted);
  }

  async look() {
    const round = ++this.round;
    this.changed();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    if (this.wanted.length > 1) {
      for (const { id } of sessions.list().slice(0, MOST_CONVERSATIONS)) {
        if (round !== this.round) return;
        this.say("Searching …");
        if (!this.texts.has(id)) this.texts.set(id, await said(id));
        this.changed();
      }
    }
    const found = sessions.list().filter((session) => this.matches(session)).length;
    if (round === this.round) this.say(this.wanted ? `${found} found` : "");
  }

  say(word) {
    at("found").textContent = word;
  }
}

async function said(id) {
  const { found } = await recent(id).catch(() => ({ found: [] }));
  return folded(found.map((item) => textOf(item.content)).join("\n").slice(0, MOST_CHARACTERS));
}
