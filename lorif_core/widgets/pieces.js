// What the panels are made of. Joined behind tokens.js to one module; texts reach the page by textContent only.
//
// A panel has a state of its own (open tab, open form, drafts), which lives on its root element, and sections that
// are drawn again only when what they show has changed, so that focus and scroll position stay.

function stateOf(root, initial) {
  root.lorifState ??= { form: null, drafts: {}, heat: true, reason: null, showsKeys: false, held: [], waits: null, ...initial };
  root.tabIndex = -1;  // a click into it gives it the keys
  root.dataset.lmSuppressShortcuts = "true";  // or Jupyter would take "x" for "cut the cell"
  return root.lorifState;
}

function section(parent, name, inputs, build) {
  let box = [...parent.children].find((child) => child.dataset.section === name);
  if (!box) {
    box = element("div", name);
    box.dataset.section = name;
    parent.append(box);
  }
  const seen = JSON.stringify(inputs ?? null);
  if (box.lorifSeen === seen) return box;
  box.lorifSeen = seen;
  const active = box.getRootNode().activeElement, hadFocus = active && box.contains(active);
  const key = hadFocus ? active.dataset.key : undefined;
  const range = key && active.selectionStart !== undefined ? [active.selectionStart, active.selectionEnd] : null;
  const top = box.scrollTop;
  build(box);
  box.scrollTop = top;
  const again = key && [...box.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
  if (again) {
    again.focus({ preventScroll: true });
    if (range && again.setSelectionRange && again.type !== "search") again.setSelectionRange(...range);
  } else if (hadFocus && !box.contains(active)) {
    box.closest(".panel")?.focus({ preventScroll: true });  // or the next key would go to the notebook
  }
  return box;
}

function button(label, key, click, options = {}) {
  const made = element("button", options.classes || "", label);
  made.type = "button";
  made.dataset.key = key;
  if (options.title) made.title = options.title;
  if (options.name) made.setAttribute("aria-label", options.name);
  made.disabled = Boolean(options.off);
  made.onclick = click;
  return made;
}

function row(classes, ...children) {
  const made = element("div", "row " + classes);
  made.append(...children.filter(Boolean));
  return made;
}

function tabs(names, chosen, choose) {
  const list = element("div", "tabs");
  list.setAttribute("role", "tablist");
  names.forEach(([name, label], place) => {
    const tab = button(label, "tab-" + name, () => choose(name));
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-selected", String(name === chosen));
    tab.tabIndex = name === chosen ? 0 : -1;
    tab.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      choose(names[(place + step + names.length) % names.length][0]);
      list.getRootNode().activeElement?.closest?.("[role=tablist]")?.querySelector("[aria-selected=true]")?.focus();
    };
    list.append(tab);
  });
  return list;
}

function toggle(label, key, isOn, change) {
  const box = element("input");
  box.type = "checkbox";
  box.checked = isOn;
  box.dataset.key = key;
  box.onchange = () => change(box.checked);
  const made = element("label", "toggle");
  made.append(box, " " + label);
  return made;
}

function field(tag, label, key, value, input) {
  const made = element(tag);
  made.value = value || "";
  made.dataset.key = key;
  made.placeholder = label;
  made.setAttribute("aria-label", label);
  made.oninput = () => input(made.value);
  return made;
}

function picker(label, key, options, value, change) {
  const made = element("select");
  made.dataset.key = key;
  made.setAttribute("aria-label", label);
  for (const [name, text] of options) {
    const option = element("option", "", text);
    option.value = name;
    made.append(option);
  }
  made.value = value ?? options[0]?.[0] ?? "";
  made.onchange = () => change(made.value);
  return made;
}

// What is asked of the kernel once: under a name of its own, so that two of them are two.
function newToken() {
  return Math.random().toString(36).slice(2) + Date.now().toString(36);
}

// Ask the kernel to decide. Keys that come before it has answered wait, as they are about what is on screen then.
function sendAct(panel, asked) {
  const { state, emit, data } = panel, before = data.said.token;
  hold(state, (now) => now.said.token !== before);
  emit("act", { ...asked, token: newToken() });
}

// Flag, exclude, keep, comment: always at the same place, always by id. Those that would change nothing are off.
function decideBar(panel, ids, status, key) {
  const { state, again } = panel;
  const send = (act, more) => {
    state.form = null;
    sendAct(panel, { act, ids, ...more });
    again();
  };
  const open = (kind) => () => {
    state.form = state.form?.key === key && state.form.kind === kind ? null : { key, kind };
    again();
  };
  const once = (act, more) => (event) => {
    for (const one of event.currentTarget.parentElement.querySelectorAll("button.act")) one.disabled = true;
    send(act, more);
  };
  const act = { classes: "act" }, why = state.reason;
  const exclude = why ? once("exclude", { reason: why }) : open("exclude");
  const told = why ? `As ${why}, the last reason; the key E chooses another.` : "Leave it out of every export. Asks for a reason.";
  return row(
    "decide",
    button("Flag", key + "-flag", once("flag"), { ...act, off: status === "flagged", title: "Mark as suspicious; it stays in the data." }),
    button(why ? "Exclude" : "Exclude…", key + "-exclude", exclude, { ...act, off: status === "excluded", title: told }),
    why ? button("Other reason…", key + "-why", open("exclude"), { off: status === "excluded" }) : null,
    button("Keep", key + "-keep", once("restore"), { ...act, off: status === "kept", title: "Keep it, whatever was decided before." }),
    button("Comment", key + "-note", open("note")),
  );
}

function decideForm(panel, ids, key) {
  const { state, data, again } = panel;
  if (state.form?.key !== key) return null;
  const kind = state.form.kind, draft = (state.drafts[key + kind] ??= { text: "", reason: "" });
  const done = () => {
    state.form = null;
    delete state.drafts[key + kind];
    if (kind === "exclude") state.reason = draft.reason;
    sendAct(panel, { act: kind, ids, reason: draft.reason || null, text: draft.text });
    again();
  };
  const cancel = button("Cancel", key + "-cancel", () => { state.form = null; again(); });
  if (kind === "note") {
    const text = field("textarea", "Comment", key + "-text", draft.text, (value) => { draft.text = value; save.disabled = !value.trim(); });
    const save = button("Save comment", key + "-save", done, { classes: "main", off: !draft.text.trim() });
    return row("form", text, save, cancel);
  }
  const sure = button(`Exclude ${count(ids.length, "text")}`, key + "-sure", done, { classes: "main", off: !draft.reason });
  const reasons = [["", "Choose a reason"], ...data.reasons.map((reason) => [reason, reason])];
  const why = picker("Reason", key + "-reason", reasons, draft.reason, (value) => { draft.reason = value; sure.disabled = !value; });
  const text = field("input", "Comment, optional", key + "-text", draft.text, (value) => { draft.text = value; });
  return row("form", why, text, sure, cancel);
}

function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

function statusOf(panel, id) {
  return panel.data.statuses[id] || { status: "kept", text: "kept" };
}

function hitCard(panel, hit) {
  const { state, emit, data, again } = panel, known = statusOf(panel, hit.key);
  const card = element("article", "card");
  card.dataset.id = hit.key;
  if (data.reader?.key === hit.key) card.classList.add("open");
  const parts = state.heat ? hit.parts : hit.parts.map((part) => ({ ...part, h: undefined }));
  const choose = element("input");
  choose.type = "checkbox";
  choose.checked = data.selected.includes(hit.key);
  choose.dataset.key = "choose-" + hit.key;
  choose.setAttribute("aria-label", "Select " + hit.id);
  choose.onchange = () => {
    const rest = data.selected.filter((one) => one !== hit.key);
    emit("selected", choose.checked ? [...rest, hit.key] : rest);
  };
  const head = hit.score === undefined ? pageHead(hit, known) : cardHead({ ...hit, status: known.status, status_text: known.text });
  head.prepend(choose);
  const actions = decideBar(panel, [hit.key], known.status, "card-" + hit.key);
  actions.append(button("Read", "read-" + hit.key, () => { emit("open", hit.key); }, { classes: "end" }));
  head.append(actions);
  card.append(head, textBlock(parts));
  const form = decideForm(panel, [hit.key], "card-" + hit.key);
  if (form) card.append(form);
  return card;
}

function pageHead(hit, known) {
  const head = element("div", "head");
  if (hit.source) head.append(element("span", "chip", hit.source));
  head.append(...statusChip({ status: known.status, status_text: known.text }), element("span", "quiet mono end", hit.id));
  return head;
}

function selectionBar(panel) {
  const { emit, data } = panel, ids = data.selected;
  if (!ids.length) return null;
  const statuses = new Set(ids.map((id) => statusOf(panel, id).status));
  const bar = element("div", "selection");
  const actions = decideBar(panel, ids, statuses.size === 1 ? [...statuses][0] : "mixed", "selection");
  actions.prepend(element("b", "", count(ids.length, "text") + " selected"));
  actions.append(button("Clear", "selection-clear", () => emit("selected", []), { classes: "end" }));
  bar.append(actions);
  const form = decideForm(panel, ids, "selection");
  if (form) bar.append(form);
  return bar;
}

// The reader beside a list: the whole text, what was decided about it, where else it ranks.
function readerBox(panel, order) {
  const { state, emit, data, again } = panel, shown = data.reader;
  const place = order.indexOf(shown.key), known = statusOf(panel, shown.key);
  const go = (target) => () => {
    hold(state, (now) => (now.reader?.key ?? null) === (target ?? null));
    emit("open", target);
  };
  const box = element("div", "drawer");
  box.append(row(
    "nav",
    button("Previous", "reader-k", go(order[place - 1]), { off: place <= 0, title: "K" }),
    button("Next", "reader-j", go(order[place + 1]), { off: place < 0 || place + 1 >= order.length, title: "J" }),
    shown.heated ? toggle("Token heat", "reader-heat", state.heat, (isOn) => { state.heat = isOn; again(); }) : null,
    button("Close", "reader-close", go(null), { classes: "end", title: "Escape" }),
  ));
  const head = shown.card ? cardHead({ ...shown.card, status: known.status, status_text: known.text }) : pageHead(shown, known);
  const text = textBlock(state.heat && shown.heated ? shown.heated : shown.plain);
  text.classList.add("whole");
  text.tabIndex = 0;
  box.append(head, text, decideBar(panel, [shown.key], known.status, "reader"));
  const form = decideForm(panel, [shown.key], "reader");
  if (form) box.append(form);
  box.append(...about(shown));
  return box;
}

function about(shown) {
  const parts = [];
  if (shown.metadata.length) parts.push(element("h4", "", "Metadata"), pairs(shown.metadata));
  parts.push(element("h4", "", "Decisions"));
  if (shown.withheld) parts.push(element("p", "quiet", shown.withheld));
  else if (!shown.events.length) parts.push(element("p", "quiet", "Nobody has decided anything about this text."));
  parts.push(...shown.events.map((said) => element("p", "event", said)));
  if (shown.others?.length) parts.push(element("h4", "", "Other questions that bring it up"), ...shown.others.map((said) => element("p", "event", said)));
  return parts;
}

function pairs(rows) {
  const table = element("dl", "pairs");
  for (const [name, value] of rows) table.append(element("dt", "", name), element("dd", "", value));
  return table;
}

function progressBar(panel) {
  const { emit, data } = panel, now = data.progress;
  if (!now?.label) return null;
  const bar = element("progress");
  if (now.total) { bar.max = now.total; bar.value = now.done; }
  bar.setAttribute("aria-label", now.label);
  return row("working", bar, element("span", "", now.label), button("Cancel", "cancel", () => emit("cancel", null)));
}

function saidLine(panel) {
  const { data } = panel;
  const line = element("div", "said" + (data.said.failed ? " failed" : ""), data.said.text);
  line.setAttribute("role", "status");
  return line;
}

function undoButton(panel) {
  return button("Undo", "undo", (event) => {
    event.currentTarget.disabled = true;
    sendAct(panel, { act: "undo", ids: [] });
  }, { title: "Take back your latest decision." });
}

const WAITS_MS = 20000;
const MEANINGS = {
  "J K": "next text, previous text", Enter: "read the first text", A: "keep", F: "flag", X: "exclude, with the last reason if there is one",
  E: "exclude with another reason", N: "needs review", U: "undo your latest decision", "1 … 9": "choose a reason", S: "skip", M: "comment",
  Esc: "close what is open", "?": "show or hide this list",
};

// Hold the keys back until something has arrived; a kernel that never answers does not hold them for ever.
function hold(state, arrived) {
  const since = Date.now();
  state.waits = (data) => arrived(data) || Date.now() - since > WAITS_MS;
}

// Single letters, unless a text is being typed. Every press counts once: one that comes while the kernel is at work is
// played when its answer is on screen, one that a key held down repeats moves on and decides nothing.
function keys(root, data, actions) {
  const state = root.lorifState;
  const play = () => {
    if (state.waits?.(data)) {
      state.waits = null;
      if (data.said.failed) state.held = [];  // what was to come after it was meant for another text
    }
    while (state.held.length && !state.waits) actions[state.held.shift()]?.();
  };
  root.onkeydown = (event) => {
    const target = event.composedPath()[0];
    if (/^(input|textarea|select)$/i.test(target.tagName) && target.type !== "checkbox") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && !/^[?0-9]$/.test(event.key)) return;  // digits and ? may need it; Shift+Enter is Jupyter's
    if (/^(Enter| )$/.test(event.key) && /^(button|summary|input)$/i.test(target.tagName)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!actions[key]) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat && !"jk".includes(key)) return;
    state.held.push(key);
    play();
  };
  play();
}

// What the keys do, for who asks with "?".
function keysBox(state, letters) {
  if (!state.showsKeys) return [];
  const list = element("dl", "pairs key-list");
  for (const letter of letters) {
    const name = element("dt");
    name.append(...letter.split(" … ").flatMap((one, place) => [place ? " … " : "", ...one.split(" ").flatMap((key) => [element("kbd", "", key), " "])]));
    list.append(name, element("dd", "", MEANINGS[letter]));
  }
  return [list];
}

function press(root, key) {
  return () => {
    const found = [...root.querySelectorAll("button[data-key]")].find((one) => one.dataset.key === key);
    if (!found || found.disabled) return false;
    found.click();
    return true;
  };
}

// The keys of a list with a reader: they decide about the text that is open.
function readerKeys(root, panel, order) {
  const { state, emit, data, again } = panel, isOpen = Boolean(data.reader?.key);
  const first = () => {
    if (!order.length) return;
    hold(state, (now) => now.reader?.key === order[0]);
    emit("open", order[0]);
  };
  // All of them also while no text is open: one may be on its way, and what is pressed meanwhile is about it.
  const open = {
    j: isOpen ? press(root, "reader-j") : first, k: press(root, "reader-k"), f: press(root, "reader-flag"),
    x: press(root, "reader-exclude"), e: () => press(root, "reader-why")() || press(root, "reader-exclude")(),
    a: press(root, "reader-keep"), m: press(root, "reader-note"), Escape: press(root, "reader-close"),
    ...(isOpen ? {} : { Enter: first }),
  };
  const shared = { u: press(root, "undo"), "?": () => { state.showsKeys = !state.showsKeys; again(); } };
  section(root, "keys", state.showsKeys, (box) => box.replaceChildren(...keysBox(state, ["J K", "Enter", "A", "F", "X", "E", "M", "U", "Esc", "?"])));
  keys(root, data, { ...open, ...shared });
}
