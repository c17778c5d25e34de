// Elements of every page. What is put into them is text, or other elements; never markup.

export function make(name, kind, ...children) {
  const made = document.createElement(name);
  made.className = kind;
  made.append(...children);
  return made;
}

/** A button that does something when it is clicked. */
export function button(kind, text, act) {
  const made = make("button", kind, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}
