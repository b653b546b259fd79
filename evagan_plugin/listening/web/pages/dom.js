// Building elements without markup strings: nothing a server says can become markup.

/** Make an element. Keys of `props` are properties; `on` holds listeners, `aria` and `data` their attributes. */
export function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  const { on = {}, aria = {}, data = {}, ...rest } = props;
  Object.assign(element, rest);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name === "role" ? name : `aria-${name}`, value);
  Object.assign(element.dataset, data);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A button that shows its key. */
export function keyButton(text, key, onClick, props = {}) {
  const { aria = {}, ...rest } = props;
  const shortcuts = key.length === 1 ? key.toLowerCase() : key;
  return make("button", { type: "button", on: { click: onClick }, aria: { keyshortcuts: shortcuts, ...aria }, ...rest },
    make("span", { className: "label" }, text), make("kbd", { aria: { hidden: "true" } }, key));
}

/** Replace what the stage shows and move focus there, so that a screen reader begins to read it. */
export function show(...children) {
  const stage = document.getElementById("stage");
  stage.replaceChildren(...children);
  stage.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

export function notice(text, urgent = false) {
  const line = document.getElementById("notice");
  line.textContent = text;
  line.classList.toggle("urgent", urgent);
}
