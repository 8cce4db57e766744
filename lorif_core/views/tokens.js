// Draws tokens, texts and hits, in the studio and in notebooks. Data reaches the page by textContent only.
//
// render(host, data, emit): host is an element or a shadow root; data says what to draw by its `mode`:
//   strip   tokens to choose from: {tokens: [{t, n}], selected: [0, …], label}; emit("selected", [0, …])
//   text    a text with heat: {parts: [{t, h, o, d}]}; h in [-1, 1] or absent, o: also in the completion,
//           d: "a" or "b", the only one of two texts that says it
//   card    a hit: {rank, score, share, percentile, source, status, id, parts}
//   legend  what the marks mean: {}

const KINDS = { strip, text, card, legend };

export function render(host, data, emit) {
  let root = host.querySelector(".lorif");
  if (!root) {
    root = element("div", "lorif");
    host.appendChild(root);
  }
  KINDS[data.mode](root, data, emit);
}

function element(tag, classes, content) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (content !== undefined && content !== null) made.textContent = content;
  return made;
}

function heatPiece(part) {
  const piece = element("span", "", part.t);
  if (part.h) {
    piece.classList.add("heat", part.h > 0 ? "plus" : "minus");
    piece.style.setProperty("--size", Math.abs(part.h).toFixed(3));
    piece.title = (part.h > 0 ? "supports: +" : "opposes: −") + Math.round(Math.abs(part.h) * 100) + "% of the strongest";
  }
  if (part.o) piece.classList.add("shared");
  if (part.d) {
    piece.classList.add("only", part.d);
    piece.title = "only in " + part.d.toUpperCase();
  }
  return piece;
}

function textBlock(parts) {
  const block = element("div", "text");
  block.dir = "auto";
  block.append(...parts.map(heatPiece));
  return block;
}

function text(root, data) {
  root.replaceChildren(textBlock(data.parts));
}

function legend(root) {
  const plus = element("span", "heat plus", "+ solid line");
  const minus = element("span", "heat minus", "− dashed line");
  const shared = element("span", "shared", "line above");
  const line = (mark, meaning) => {
    const entry = element("span");
    entry.append(mark, "\u00a0 " + meaning);
    return entry;
  };
  const box = element("div", "legend");
  box.append(line(plus, "supports"), line(minus, "opposes"), line(shared, "word for word in the completion"));
  root.replaceChildren(box);
}

function card(root, data) {
  const sign = data.share < 0 ? "minus" : "plus";
  const bar = element("span", "bar");
  const fill = element("i", sign);
  fill.style.setProperty("--size", Math.abs(data.share).toFixed(3));
  bar.append(fill);
  bar.setAttribute("aria-hidden", "true");
  const head = element("div", "head");
  head.append(element("span", "rank", "#" + data.rank), bar, element("span", "score", data.score));
  if (data.percentile) head.append(element("span", "quiet", data.percentile));
  if (data.source) head.append(element("span", "chip", data.source));
  head.append(element("span", "chip " + data.status, data.status_text), element("span", "quiet mono end", data.id));
  root.replaceChildren(head, textBlock(data.parts));
}

function strip(root, data, emit) {
  const state = root.lorifStrip || { anchor: 0, focus: 0 };
  root.lorifStrip = state;
  let selected = new Set(data.selected);
  state.focus = Math.min(state.focus, data.tokens.length - 1);

  const list = element("div", "strip");
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  list.setAttribute("aria-label", data.label);
  const options = data.tokens.map((token, position) => {
    const option = element("div", "token");
    option.setAttribute("role", "option");
    option.append(element("b", "", token.t), element("small", "", token.n));
    option.title = token.title;
    option.dataset.position = position;
    return option;
  });
  list.append(...options);

  const paint = () => options.forEach((option, position) => {
    option.setAttribute("aria-selected", String(selected.has(position)));
    option.tabIndex = position === state.focus ? 0 : -1;
  });
  const choose = (next) => {
    selected = new Set(next);
    paint();
    emit("selected", [...selected].sort((a, b) => a - b));
  };
  const range = (from, to) => {
    const [low, high] = from < to ? [from, to] : [to, from];
    return Array.from({ length: high - low + 1 }, (_, step) => low + step);
  };
  const moveTo = (position) => {
    state.focus = Math.max(0, Math.min(options.length - 1, position));
    paint();
    options[state.focus].focus();
  };
  const toggle = (position) => {
    state.anchor = position;
    const next = new Set(selected);
    if (!next.delete(position)) next.add(position);
    choose(next);
  };
  list.onclick = (event) => {
    const option = event.target.closest(".token");
    if (!option) return;
    const position = Number(option.dataset.position);
    state.focus = position;
    if (event.shiftKey) choose(range(state.anchor, position));
    else toggle(position);
  };
  list.addEventListener("focusin", (event) => {  // also when a screen reader puts the focus there
    state.focus = Number(event.target.dataset.position);
    paint();
  });
  list.onkeydown = (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key in steps) {
      moveTo(state.focus + steps[event.key]);
      if (event.shiftKey) choose(range(state.anchor, state.focus));
    } else if (event.key === "Home") moveTo(0);
    else if (event.key === "End") moveTo(options.length - 1);
    else if (event.key === " " || event.key === "Enter") {
      if (event.shiftKey) choose(range(state.anchor, state.focus));
      else toggle(state.focus);
    } else if (event.key === "Escape") choose([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const hadFocus = root.contains(root.getRootNode().activeElement);
  root.replaceChildren(list);
  paint();
  if (hadFocus && options.length) options[state.focus].focus();
}
