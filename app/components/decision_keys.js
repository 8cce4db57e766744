// Keys, checkboxes and the foot of the page: what people decide with on every list. One state per page of the browser.
//
// Data says what to draw by its `mode`:
//   tick   a checkbox in a row: {id, label}; `row` is the element around it that carries the cursor
//   hint   a button that shows the keys: {}
//   texts  texts to read: {texts: [{id, text, about}]}
//   desk   keys, bar and toast: {tab, rows: [[id, status, shown id], …], of: {dataset, query}, reason,
//          keys: [[letter, meaning], …], toast: {n, said, undo}, frame: class of a table whose rows are read from
//          its cells, or null}
// Decisions go to Python as {n, tab, act, ids, dataset, query}: ids, never places; n grows, so that none is done twice,
// and tab names the session that it was meant for: a server that began anew is sent the old ones again.
// Data reaches the page by textContent only.

const desk = (window.lorifDesk ??= {
  ticks: new Set(), chosen: new Set(), cursor: null, sent: [], n: 0, data: null, emit: null, heard: null, bar: null,
  toastOf: null, painted: new Set(),
});
const TOAST_MS = 10000;
const HEADING = /^([↑↓] )?id$/;  // of the column of ids, with an arrow where the browser sorts by it
const ACTS = { a: "keep", f: "flag", x: "exclude", e: "exclude-why", n: "needs-review" };
const NAMES = { keep: "Keep", flag: "Flag", exclude: "Exclude", "exclude-why": "Other reason…", "needs-review": "Needs review" };

export default ({ parentElement, data, setStateValue }) => {
  if (data.mode === "tick") return tick(parentElement, data);
  if (data.mode === "texts") return texts(parentElement, data);
  if (data.mode === "hint") return hint(parentElement);
  desk.data = data;
  desk.emit = (acts) => setStateValue("acts", acts);
  listen();
  foot(parentElement);
  paint();
};

function element(tag, classes, content) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (content !== undefined && content !== null) made.textContent = content;
  return made;
}

// ---- texts in a dialog

function texts(host, data) {
  const list = rootOf(host, "texts");
  list.tabIndex = 0;
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", data.label);
  list.replaceChildren(...data.texts.map((one) => {
    const row = element("div", "one");
    const body = element("div", "said", one.text);
    body.dir = "auto";
    row.append(element("div", "about", one.about), body);
    return row;
  }));
}

function hint(host) {
  const root = rootOf(host, "hint");
  if (!root.firstChild) root.append(button("Keys", "?", () => desk.bar?.querySelector("dialog").showModal(), "plain"));
}

function rootOf(host, classes) {
  let root = host.querySelector(".lorif-root");
  if (!root) {
    root = element("div");
    host.appendChild(root);
  }
  root.className = "lorif-root " + classes;
  return root;
}

// ---- rows

// No <input>: Streamlit takes one for a box that is typed into, and its buttons would not hear their letters.
function tick(host, data) {
  const root = rootOf(host, "tick");
  let box = root.querySelector("[role=checkbox]");
  if (!box) {
    box = element("span");
    box.setAttribute("role", "checkbox");
    box.tabIndex = 0;
    root.replaceChildren(box);
    const toggle = () => choose(root.lorifId, !desk.chosen.has(root.lorifId));
    box.addEventListener("click", toggle);
    box.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      if (!event.repeat) toggle();
    });
    box.addEventListener("focus", () => { desk.cursor = root.lorifId; paint(); });
  }
  root.lorifId = data.id;
  box.setAttribute("aria-label", data.label);
  box.setAttribute("aria-checked", String(desk.chosen.has(data.id)));
  desk.ticks.add(root);
  desk.soon ??= requestAnimationFrame(() => {  // once for all rows: each look at where they are lays the page out
    desk.soon = null;
    paint();
  });
}

desk.tick = tick;  // for tables that draw rows of their own

function rowOf(root) {
  for (let node = root; node; node = node.parentElement ?? node.getRootNode().host) {
    if (node !== root && node.matches?.("tr, [class*='st-key-card-'], [class*='st-key-row-']")) return node;
  }
  return root;
}

function ticks() {
  for (const root of desk.ticks) if (!root.isConnected) desk.ticks.delete(root);
  return [...desk.ticks].filter((root) => root.getClientRects().length);
}

function order() {
  return (desk.data?.rows ?? []).map((row) => row[0]);
}

function choose(id, isChosen) {
  if (isChosen) desk.chosen.add(id);
  else desk.chosen.delete(id);
  desk.cursor = id;
  paint();
}

function paint() {
  const known = new Set(order());
  const of = JSON.stringify([desk.data?.of, order()]);
  if (desk.data && desk.of !== of) {  // another list: nothing of the old one stays chosen
    desk.chosen.clear();
    if (!known.has(desk.cursor)) desk.cursor = null;
    desk.of = of;
  }
  for (const row of desk.painted) {
    delete row.dataset.lorifCursor;
    delete row.dataset.lorifChosen;
  }
  desk.painted.clear();
  for (const root of ticks()) {
    const row = rowOf(root);
    root.querySelector("[role=checkbox]").setAttribute("aria-checked", String(desk.chosen.has(root.lorifId)));
    if (desk.chosen.has(root.lorifId)) row.dataset.lorifChosen = "";
    if (desk.cursor === root.lorifId) row.dataset.lorifCursor = "";
    desk.painted.add(row);
  }
  paintFrame();
  paintBar();
}

// ---- a table that is a canvas: its cells are read as they are shown, so that a row is known by its id in any order

function frame() {
  return desk.data?.frame ? document.querySelector(`[class*='${desk.data.frame}'] [data-testid=stDataFrame]`) : null;
}

// Only the column of ids is read: where ids are numbers, a rank looks like the id of another text.
function frameRows() {
  const byShown = new Map(desk.data.rows.map((row) => [row[2], row[0]])), found = frame();
  const heading = [...(found?.querySelectorAll("[role=columnheader]") ?? [])].find((one) => HEADING.test(one.textContent));
  if (!heading) return [];
  const column = `[role=gridcell][aria-colindex="${heading.getAttribute("aria-colindex")}"]`;
  const rows = [...found.querySelectorAll("[role=row]")].map((row) => {
    const shown = row.querySelector(column)?.textContent;
    return byShown.has(shown) && { id: byShown.get(shown), place: Number(row.getAttribute("aria-rowindex")) - 2 };
  });
  return rows.filter(Boolean);
}

// The cells behind a canvas come a moment after it.
function later(again) {
  clearTimeout(desk.looks);
  desk.numLooks = (desk.numLooks ?? 0) + 1;
  if (desk.numLooks < 20) desk.looks = setTimeout(again, 250);
}

function paintFrame() {
  const found = frame();
  const line = desk.line ?? (desk.line = element("div"));
  const row = found && desk.cursor !== null ? frameRows().find((one) => one.id === desk.cursor) : null;
  if (!row) {
    if (found && desk.cursor !== null) later(paintFrame);
    return line.remove();
  }
  desk.numLooks = 0;
  const scroller = found.querySelector(".dvn-scroller");
  const { rowHeight, header } = desk.data;
  const top = header + row.place * rowHeight - (scroller?.scrollTop ?? 0);
  line.setAttribute("aria-hidden", "true");
  Object.assign(line.style, {
    position: "absolute", left: "0", right: "0", top: top + "px", height: rowHeight + "px", pointerEvents: "none",
    boxSizing: "border-box", border: "2px solid #2f6fde", borderRadius: "3px", zIndex: "3",
    display: top < header || top + rowHeight > found.clientHeight + 1 ? "none" : "block",
  });
  scroller?.addEventListener("scroll", followScroll);  // the same function again is no second listener
  if (getComputedStyle(found).position === "static") found.style.position = "relative";
  if (line.parentElement !== found) found.append(line);
}

function followScroll() {
  requestAnimationFrame(paintFrame);
}

// ---- keys

function listen() {
  if (desk.heard) document.removeEventListener("keydown", desk.heard, true);
  desk.heard = onKey;
  document.addEventListener("keydown", desk.heard, true);
}

function isTyping(event) {
  const target = event.composedPath()[0];
  if (!(target instanceof Element)) return false;
  if (target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select")) return true;
  if (target.isContentEditable) return true;
  return target.closest("[role=combobox], [role=listbox], [role=option], [role=menu], [role=menuitem]") !== null;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
  const help = desk.bar?.querySelector("dialog");
  if (event.key === "?" && help) {
    if (help.open) help.close();
    else help.showModal();
    return event.preventDefault();
  }
  const key = event.key.toLowerCase();
  if (help?.open) return event.stopPropagation();  // or the page's own buttons behind it would hear their letters
  if (desk.data?.isQuiet) return leaveToButtons(event, key);
  if (event.shiftKey) return;
  if (document.querySelector("[role=dialog]")) {  // its own buttons bear the letters, but for this one
    if (key === "u" && !event.repeat) act("undo", []);
    return;
  }
  if (key === "j" || key === "k") {
    desk.numLooks = 0;
    if (order().length) move(key === "j" ? 1 : -1);
    return;
  }
  if (event.repeat) return;
  if (key === "u") act("undo", []);
  else if (key === "enter" && desk.cursor !== null && isRow(event)) act("open", [desk.cursor]);
  else if (key === "escape" && desk.chosen.size) clear();
  else if (key in ACTS) decideByKey(ACTS[key]);
}

// The page's buttons hear their letters themselves; a key that is held down moves on and decides nothing.
function leaveToButtons(event, key) {
  if (!/^[a-z0-9]$/.test(key)) return;
  if (event.repeat && key !== "j" && key !== "k") return event.stopPropagation();
  if (!event.shiftKey && event.composedPath()[0].matches?.("input[type=checkbox]")) {
    // Streamlit's buttons hear no letter while a box that was just ticked has the focus.
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, code: event.code, repeat: event.repeat, bubbles: true }));
  }
}

function isRow(event) {
  const target = event.composedPath()[0];
  return target === document.body || target.matches("[role=checkbox]");
}

function move(step) {
  const ids = onScreen();
  if (!ids.length) return desk.data.frame ? later(() => move(step)) : undefined;
  const place = ids.indexOf(desk.cursor);
  desk.cursor = ids[place < 0 ? (step > 0 ? 0 : ids.length - 1) : Math.max(0, Math.min(ids.length - 1, place + step))];
  show();
}

function onScreen() {
  if (desk.data.frame) return frameRows().map((row) => row.id);
  const drawn = new Set(ticks().map((root) => root.lorifId));
  return order().filter((id) => drawn.has(id));
}

function show() {
  paint();
  const root = ticks().find((one) => one.lorifId === desk.cursor);
  if (!root) return;
  root.querySelector("[role=checkbox]").focus({ preventScroll: true });
  rowOf(root).scrollIntoView({ block: "nearest" });
}

function decideByKey(name) {
  if (!desk.data) return;
  const ids = desk.chosen.size ? order().filter((id) => desk.chosen.has(id)) : chosenInFrame() ?? atCursor();
  if (!ids.length) return;
  const wasOne = !desk.chosen.size;
  act(name, ids);
  desk.chosen.clear();
  if (wasOne && ids[0] === desk.cursor) step(ids[0]);
  else paint();
}

function chosenInFrame() {
  const selected = desk.data.selected ?? [];
  return selected.length ? selected : null;
}

function atCursor() {
  if (desk.cursor === null) desk.cursor = onScreen()[0] ?? null;
  return desk.cursor === null ? [] : [desk.cursor];
}

function step(id) {
  const before = desk.cursor;
  move(1);
  if (desk.cursor === before) paint();
}

function clear() {
  desk.chosen.clear();
  paint();
}

function act(name, ids, more) {
  desk.n = Math.max(desk.n + 1, Date.now());
  const { tab, of } = desk.data ?? {};
  desk.sent = [...desk.sent.filter((one) => one.tab === tab), { n: desk.n, tab, act: name, ids, ...of, ...more }].slice(-40);
  desk.emit?.(desk.sent);
}

// ---- the foot of the page

function foot(host) {
  const root = rootOf(host, "foot");
  desk.bar = root;
  if (!root.firstChild) root.append(element("div", "bar"), element("div", "toasts"), helpBox());
  const help = root.querySelector("dialog");
  if (!help.firstChild) fillHelp(help);  // once: drawn anew, its button would lose the focus
  toast(root.querySelector(".toasts"));
}

function button(label, letter, onClick, classes) {
  const made = element("button", classes);
  made.type = "button";
  made.append(label);
  if (letter) {
    const key = element("kbd", "", letter);
    key.setAttribute("aria-hidden", "true");
    made.append(key);
  }
  made.addEventListener("click", onClick);
  return made;
}

function paintBar() {
  const bar = desk.bar?.querySelector(".bar");
  if (!bar) return;
  const count = desk.chosen.size, reason = desk.data.reason, drawn = JSON.stringify([count, reason]);
  if (bar.lorifDrawn === drawn) return;  // drawn anew, a button would lose the focus
  bar.lorifDrawn = drawn;
  bar.hidden = !count;
  if (!count) return bar.replaceChildren();
  const decide = (name) => () => decideByKey(name);
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "Decide about the selected texts");
  bar.replaceChildren(
    element("span", "count", count === 1 ? "1 text selected" : `${count.toLocaleString("en")} texts selected`),
    button(NAMES.keep, "A", decide("keep")),
    button(NAMES.flag, "F", decide("flag")),
    button(reason ? `Exclude as ${reason}` : "Exclude…", "X", decide("exclude"), "main"),
    ...(reason ? [button(NAMES["exclude-why"], "E", decide("exclude-why"))] : []),
    button("Clear", "Esc", clear, "quiet"),
  );
}

function toast(box) {
  const given = desk.data.toast;
  if (!given || desk.toastOf === given.n) return;
  desk.toastOf = given.n;
  clearTimeout(desk.toastEnds);
  const made = element("div", "toast");
  made.dataset.testid = "stToast";
  made.setAttribute("role", "status");
  made.append(element("span", "", given.said));
  if (given.undo) {
    const undo = button("Undo", "U", () => {
      made.remove();
      act("undo", [], { batch: given.undo, dataset: given.dataset });
    });
    undo.setAttribute("aria-label", `Undo: ${given.said}`);
    made.append(undo);
  }
  const close = button("×", "", () => made.remove(), "quiet");
  close.setAttribute("aria-label", "Close");
  made.append(close);
  const stay = () => clearTimeout(desk.toastEnds);
  const wait = () => { stay(); desk.toastEnds = setTimeout(() => made.remove(), TOAST_MS); };
  for (const event of ["mouseenter", "focusin"]) made.addEventListener(event, stay);
  for (const event of ["mouseleave", "focusout"]) made.addEventListener(event, wait);
  box.replaceChildren(made);
  wait();
}

function helpBox() {
  const box = element("dialog");
  box.setAttribute("aria-label", "Keys");
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  return box;
}

function fillHelp(box) {
  const list = element("dl");
  for (const [letter, meaning] of desk.data.keys) {
    const letters = element("dt");
    letters.append(...letter.split(" ").map((one) => element("kbd", "", one)));
    list.append(letters, element("dd", "", meaning));
  }
  const close = button("Close", "?", () => box.close());
  box.replaceChildren(element("h2", "", "Keys"), list, element("p", "", "No key does anything while you type in a box."), close);
}
