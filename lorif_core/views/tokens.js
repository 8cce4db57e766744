// Draws tokens, texts and hits, in the studio and in notebooks. Data reaches the page by textContent only.
//
// render(host, data, emit): host is an element or a shadow root; data says what to draw by its `mode`:
//   strip   a completion to choose from: {tokens: [{t, n}], words: [{t, n, places}], selected: [0, …], label,
//           word_label}; emit("selected", [0, …]) with places of tokens, whether words are clicked or tokens
//   asked   a question: {prompt, completion, contrast, contrast_word, fold}; a prompt longer than fold is folded
//   text    a text with heat: {parts: [{t, h, o, d, m, p}]}; h in [-1, 1] or absent, o: word for word in the answer,
//           m: found, d: "a" or "b", the only one of two texts that says it, p: asked, not taught
//   card    a hit: {rank, score, share, standing, z, verbatim, source, status, id, parts}
//   noise   the line at which a list turns into noise: {text, title}
//   words   a text that says the same word for word: {rank, verbatim, source, status, status_text, listed, id, parts}
//   legend  what the marks mean: {}
//   bins    a histogram: {counts, edges, marks: [score, …], label}; counts on a logarithmic axis
// Notebooks add whole panels to KINDS; they are made of the pieces that are here.

const KINDS = { strip, asked, text, card, noise, words, legend, bins };

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
    if (Math.abs(part.h) > 0.5) piece.classList.add("strong");
    piece.style.setProperty("--size", Math.abs(part.h).toFixed(3));
    piece.title = (part.h > 0 ? "supports: +" : "opposes: −") + Math.round(Math.abs(part.h) * 100) + "% of the strongest";
  }
  if (part.o) {
    piece.classList.add("shared");
    piece.title = [piece.title, "word for word in the answer"].filter(Boolean).join("; ");
  }
  if (part.p) piece.classList.add("prompt");
  if (part.m) {
    piece.classList.add("found");
    piece.title = "found by the search";
  }
  if (part.d) {
    piece.classList.add("only", part.d);
    piece.title = "only in " + part.d.toUpperCase();
  }
  return piece;
}

function textBlock(parts) {
  const block = element("div", "text");
  block.dir = "auto";
  parts.forEach((part, place) => {  // the mark itself is drawn by the style sheet: it is no part of the text
    if (place && parts[place - 1].p && !part.p) block.append(element("span", "taught"));
    block.append(heatPiece(part));
  });
  return block;
}

function noise(root, data) {
  root.replaceChildren(noiseLine(data));
}

function noiseLine(data) {
  const line = element("div", "noise-line");
  const said = element("span", "", data.text);
  said.title = data.title;
  said.tabIndex = 0;
  said.setAttribute("aria-label", data.text + ". " + data.title);
  said.setAttribute("role", "note");
  line.append(said);
  return line;
}

function asked(root, data) {
  root.replaceChildren(askedLine(data));
}

// A question on one line: the end of a long prompt, which says the most, and all that was said.
function askedLine(data) {
  const line = element("div", "asked");
  line.dir = "auto";
  const characters = [...data.prompt], hidden = characters.length - data.fold;
  const prompt = element("span", "prompt");
  let isOpen = hidden <= 0;
  const draw = () => {
    prompt.textContent = isOpen ? data.prompt : "…" + characters.slice(hidden).join("");
    line.classList.toggle("folded", !isOpen);
  };
  draw();
  if (hidden > 0) {
    const fold = element("button", "fold");
    const name = () => {
      fold.textContent = isOpen ? "Fold" : hidden.toLocaleString("en") + " more characters";
      fold.setAttribute("aria-expanded", String(isOpen));
    };
    name();
    fold.onclick = () => { isOpen = !isOpen; draw(); name(); };
    line.append(fold, " ");
  }
  line.append(prompt, element("span", "turn", " ▸"), element("b", "", data.completion));
  if (data.contrast !== null && data.contrast !== undefined) {
    line.append(element("span", "quiet", " " + data.contrast_word), element("span", "turn", " ▸"), element("b", "", data.contrast));
  }
  return line;
}

function text(root, data) {
  root.replaceChildren(textBlock(data.parts));
}

function legend(root) {
  root.replaceChildren(legendBox());
}

function legendBox() {
  const plus = element("span", "heat plus", "+ solid line");
  const minus = element("span", "heat minus", "− dashed line");
  const shared = element("span", "shared", "line above");
  const line = (mark, meaning) => {
    const entry = element("span");
    entry.append(mark, "\u00a0 " + meaning);
    return entry;
  };
  const box = element("div", "legend");
  box.append(line(plus, "supports"), line(minus, "opposes"), line(shared, "word for word in the answer"));
  return box;
}

function card(root, data) {
  root.replaceChildren(cardHead(data), snippet(data));
}

// A stretch of a text on as few lines as it takes; what is noise is not coloured as if it were evidence.
function snippet(data) {
  const block = textBlock(data.parts);
  block.classList.add("snippet");
  block.classList.toggle("faint", Boolean(data.is_noise));
  return block;
}

function cardHead(data) {
  const sign = data.share < 0 ? "minus" : "plus";
  const bar = element("span", "bar");
  const fill = element("i", sign);
  fill.style.setProperty("--size", Math.abs(data.share).toFixed(3));
  bar.append(fill);
  bar.setAttribute("aria-hidden", "true");
  bar.title = "log scale: the longer, the farther the score stands out of all scores";
  const head = element("div", data.is_noise ? "head faint" : "head");
  head.append(element("span", "rank", "#" + data.rank), bar, element("span", "score", data.score));
  if (data.z) {
    const z = element("span", "quiet z", data.z);
    z.title = "standard deviations from the mean score of all texts";
    head.append(z);
  }
  if (data.standing) head.append(element("span", "quiet standing", data.standing));
  if (data.window) head.append(element("span", "quiet", data.window));
  if (data.source) head.append(element("span", "chip", data.source));
  if (data.verbatim) head.append(verbatimChip(data));
  head.append(...statusChip(data), element("span", "quiet mono end", data.id));
  return head;
}

// What was decided; that nothing was is no news.
function statusChip(data) {
  return data.status === "kept" ? [] : [element("span", "chip " + data.status, data.status_text)];
}

function verbatimChip(data) {
  const chip = element("span", "chip words", data.verbatim_short || data.verbatim);
  chip.title = data.verbatim + ": stands word for word in the answer; this is no part of the score";
  return chip;
}

function words(root, data) {
  const head = element("div", "head");
  head.append(element("span", "rank", "#" + data.rank), verbatimChip(data));
  if (data.source) head.append(element("span", "chip", data.source));
  head.append(...statusChip(data));
  if (data.listed) head.append(element("span", "quiet", data.listed));
  head.append(element("span", "quiet mono end", data.id));
  root.replaceChildren(head, snippet(data));
}

function bins(root, data) {
  root.replaceChildren(histogram(data));
}

function histogram(data) {
  const width = 420, height = 96, floor = 74, top = 10;
  const drawn = (tag, attributes, content) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    if (content !== undefined) made.textContent = content;
    return made;
  };
  const low = data.edges[0], high = data.edges[data.edges.length - 1];
  const x = (value) => 4 + ((value - low) / (high - low || 1)) * (width - 8);
  const most = Math.log1p(Math.max(...data.counts, 1));
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, class: "bins", role: "img" });
  picture.setAttribute("aria-label", data.label);
  data.counts.forEach((count, place) => {
    const from = x(data.edges[place]), to = x(data.edges[place + 1]);
    const size = (Math.log1p(count) / most) * (floor - top);
    const sign = data.edges[place] + data.edges[place + 1] < 0 ? "minus" : "plus";
    const bar = drawn("rect", { x: from, y: floor - size, width: Math.max(to - from - 0.6, 0.6), height: size, class: sign });
    bar.append(drawn("title", {}, `${count.toLocaleString("en")} texts, score ${short(data.edges[place])} to ${short(data.edges[place + 1])}`));
    picture.append(bar);
  });
  picture.append(drawn("line", { x1: 4, x2: width - 4, y1: floor, y2: floor, class: "axis" }));
  for (const mark of data.marks) {
    picture.append(drawn("path", { d: `M${x(mark)} ${floor + 1} l-3 6 h6 z`, class: mark < 0 ? "minus" : "plus" }));
  }
  const label = (value, anchor) => drawn("text", { x: x(value), y: height - 4, "text-anchor": anchor }, short(value));
  picture.append(label(low, "start"), label(high, "end"));
  if (low < 0 && high > 0 && x(0) > 50 && x(0) < width - 50) picture.append(label(0, "middle"));
  picture.append(drawn("text", { x: width / 2, y: 8, "text-anchor": "middle" }, data.label));
  return picture;
}

function short(value) {
  return Number(value.toPrecision(3)).toString().replace("-", "−");
}

function strip(root, data, emit) {
  const state = root.lorifStrip || { anchor: 0, focus: 0, words: true };
  root.lorifStrip = state;
  const words = data.words || [], hasBoth = words.length > 0 && words.length < data.tokens.length;
  if (hasBoth && inWords(words, data.selected).length < data.selected.length) state.words = false;  // parts of words
  const isWords = words.length > 0 && state.words;
  const shown = isWords ? words : data.tokens.map((token, place) => ({ ...token, places: [place] }));
  const tokensOf = (positions) => [...positions].flatMap((position) => shown[position].places).sort((a, b) => a - b);
  const chosenBefore = new Set(data.selected);
  let selected = new Set([...shown.keys()].filter((position) => shown[position].places.every((place) => chosenBefore.has(place))));
  for (const name of ["anchor", "focus"]) state[name] = Math.max(0, Math.min(state[name], shown.length - 1));

  const list = element("div", "strip");
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  list.setAttribute("aria-label", isWords ? data.word_label : data.label);
  const options = shown.map((token, position) => {
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
    data.selected = tokensOf(selected);
    emit("selected", data.selected);
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
    if (event.ctrlKey || event.metaKey || event.altKey) return;  // Alt and an arrow go back in the browser
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
  const focused = root.getRootNode().activeElement;
  const hadFocus = root.contains(focused) && focused.getAttribute("role") === "option";
  root.replaceChildren(list, ...(hasBoth ? [stripSwitch(root, state, () => strip(root, data, emit), () => {
    data.selected = inWords(words, data.selected);
    emit("selected", data.selected);
  })] : []));
  paint();
  if (hadFocus && options.length) options[state.focus].focus();
}

// The chosen tokens of which the whole word is chosen.
function inWords(words, selected) {
  const chosen = new Set(selected);
  return words.filter((word) => word.places.every((place) => chosen.has(place))).flatMap((word) => word.places);
}

function stripSwitch(root, state, again, toWords) {
  const label = element("label", "switch");
  const box = element("input");
  box.type = "checkbox";
  box.checked = !state.words;
  box.setAttribute("role", "switch");
  box.onchange = () => {
    Object.assign(state, { words: !box.checked, anchor: 0, focus: 0 });
    if (state.words) toWords();
    again();
    root.querySelector(".switch input").focus();
  };
  label.append(box, " Tokens");
  label.title = "Choose single tokens instead of words";
  return label;
}
