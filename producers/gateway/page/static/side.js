// The list of conversations at the side.

import { call } from "/static/api.js";
import { button, make } from "/static/elements.js";
import { at, failed } from "/static/screen.js";
import { Search } from "/static/search.js";
import * as sessions from "/static/sessions.js";

/** Show or hide the list, where the screen is narrow. */
export function menu(shown) {
  at("side").classList.toggle("open", shown);
  at("shade").hidden = !shown;
  at("menu").setAttribute("aria-expanded", String(shown));
}

/** The list. `open` shows a conversation, `current` tells the id of the one that is shown. */
export class Side {
  constructor(open, current) {
    this.open = open;
    this.current = current;
    this.search = new Search(() => this.draw());
  }

  draw() {
    const focused = document.activeElement?.dataset?.focus;
    const shown = sessions.list().filter((session) => this.search.matches(session));
    at("sessions").replaceChildren(...shown.map((session) => this.entry(session)));
    if (focused) at("sessions").querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  entry(session) {
    const opener = button(session.open.length ? "open busy" : "open", session.title, () => {
      menu(false);
      this.open(session.id);
      at("question").focus();
    });
    opener.dataset.focus = session.id;
    if (session.id === this.current()) opener.setAttribute("aria-current", "true");
    const bin = button("forget", "×", () => this.erase(session));
    bin.setAttribute("aria-label", `Delete conversation: ${session.title}`);
    return make("li", "", opener, bin);
  }

  async erase(session) {
    if (!confirm(`Delete the conversation “${session.title}” for good?`)) return;
    try {
      await call(`/v1/conversations/${encodeURIComponent(session.id)}`, { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) {
        await failed(error, () => this.erase(session));
        return;
      }
    }
    sessions.forget(session.id);
    if (session.id === this.current()) this.open(sessions.fresh());
    else this.draw();
  }
}
