// The texts of the corpus as a table, and what its columns hold as lists and bars to choose from.
//
// Data says what to draw by its `mode`:
//   grid    {label, dataset, isUsual, columns: [{name, label, order: "ascending" | "descending" | null, isNumber,
//            bars: [{share, label}]}], rows: [{id, shown, status, reason, parts: [{t, m}], cells: [text, …]}]}
//   facets  {facets: [{column, label, isHistogram, choices: [{label, count, on}], ends: [text, text], rest}]}
// Events name columns, ids and labels, never places. Data reaches the page by textContent only.

export default ({ parentElement, data, setTriggerValue }) => {
  let root = parentElement.querySelector(".corpus");
  if (!root) {
    root = element("div", "corpus");
    parentElement.appendChild(root);
  }
  const same = JSON.stringify(data);
  root.emit = setTriggerValue;
  if (root.drawn !== same) {
    keepPlace(root, () => (data.mode === "grid" ? grid : facets)(root, data, (name, value) => root.emit(name, value)));
  }
  root.drawn = same;
  if (data.mode === "grid") remember(data, setTriggerValue);
};

function element(tag, classes, content) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (content !== undefined && content !== null) made.textContent = content;
  return made;
}

// Draw anew, and leave the focus on what it was on, and lists where they were scrolled to.
function keepPlace(root, draw) {
  const active = root.getRootNode().activeElement, had = active && root.contains(active) ? active : null;
  const key = had?.dataset.key, row = had?.closest("tr")?.dataset.id;
  const lists = () => [...root.querySelectorAll("[data-list]")];
  const scrolled = new Map(lists().map((one) => [one.dataset.list, [one.scrollTop, one.scrollLeft]]));
  draw();
  for (const one of lists()) [one.scrollTop, one.scrollLeft] = scrolled.get(one.dataset.list) ?? [0, 0];
  const again = key
    ? [...root.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)
    : [...root.querySelectorAll("tr")].find((one) => row && one.dataset.id === row)?.querySelector("[role=checkbox]");
  again?.focus({ preventScroll: true });
}

function many(count) {
  return count === 1 ? "1 text" : `${count.toLocaleString("en")} texts`;
}

// ---- columns, remembered by this browser for the data set

function remember(data, emit) {
  const key = `lorif-columns-${data.dataset}`;
  try {
    if (!data.isUsual) return localStorage.setItem(key, JSON.stringify(data.columns.map((one) => one.name)));
    const known = localStorage.getItem(key);
    if (known && window.lorifColumns !== data.dataset) emit("remembered", JSON.parse(known));
    else if (known) localStorage.removeItem(key);  // the usual ones were chosen again
  } catch { /* a browser that keeps nothing */ }
  window.lorifColumns = data.dataset;
}

// ---- the table

function grid(root, data, emit) {
  const table = element("table");
  table.setAttribute("aria-label", data.label);
  const head = element("tr");
  head.append(element("td", "tick"), heading("text", "text"), heading("status", "status"));
  for (const column of data.columns) head.append(columnHead(column, emit));
  const top = element("thead"), body = element("tbody");
  top.append(head);
  for (const one of data.rows) body.append(rowOf(one, data, emit));
  table.append(top, body);
  const scroll = element("div", "scroll");
  scroll.dataset.list = "table";
  scroll.append(table);
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", data.label);
  root.replaceChildren(scroll);
  tickRows(root);
}

function heading(name, classes) {
  const made = element("th", classes, name);
  made.scope = "col";
  return made;
}

function columnHead(column, emit) {
  const cell = heading(null, column.isNumber ? "number" : "");
  cell.setAttribute("aria-sort", column.order ?? "none");
  const sort = element("button", "sort");
  sort.type = "button";
  sort.append(element("span", "", column.label), element("span", "arrow", { ascending: "▲", descending: "▼" }[column.order] ?? ""));
  sort.dataset.key = `sort ${column.name}`;
  sort.title = `Sort all texts by ${column.label}`;
  sort.addEventListener("click", () => emit("sort", { column: column.name }));
  const bars = element("div", "bars");
  bars.setAttribute("aria-hidden", "true");
  for (const one of column.bars) {
    const bar = element("i");
    bar.style.setProperty("--size", one.share);
    bar.title = one.label;
    bars.append(bar);
  }
  cell.append(sort, bars);
  return cell;
}

function rowOf(one, data, emit) {
  const row = element("tr", `st-key-row-grid ${one.status}`);
  row.dataset.id = one.id;
  const tick = element("td", "tick"), said = element("td", "text"), status = element("td", "status");
  tick.corpusTick = { id: one.id, label: `Select ${one.shown}` };
  const open = element("button", "said");
  open.type = "button";
  open.dir = "auto";
  open.title = "Read it in full";
  open.dataset.key = `read ${one.id}`;
  open.append(...one.parts.map((part) => element(part.m ? "mark" : "span", "", part.t)));
  open.addEventListener("click", () => emit("read", one.id));
  said.append(open, element("small", "", one.shown));
  if (one.status !== "kept") status.append(element("span", `chip ${one.status}`, one.status));
  if (one.reason) status.append(element("small", "", one.reason));
  row.append(tick, said, status);
  one.cells.forEach((value, place) => row.append(element("td", data.columns[place].isNumber ? "number" : "", value)));
  return row;
}

// Checkboxes are those of every list: the foot of the page, which draws them, may come later than the table.
function tickRows(root) {
  if (!window.lorifDesk?.tick) return void requestAnimationFrame(() => root.isConnected && tickRows(root));
  for (const cell of root.querySelectorAll("tbody .tick")) window.lorifDesk.tick(cell, cell.corpusTick);
}

// ---- what the columns hold

function facets(root, data, emit) {
  root.replaceChildren(...data.facets.map((facet) => {
    const box = element("section", "facet");
    box.append(element("h4", "", facet.label));
    box.setAttribute("aria-label", facet.label);
    (facet.isHistogram ? histogram : values)(box, facet, emit);
    if (facet.rest) box.append(element("p", "rest", facet.rest));
    return box;
  }));
}

function values(box, facet, emit) {
  const most = Math.max(1, ...facet.choices.map((one) => one.count));
  const list = element("div", "values");
  list.dataset.list = facet.column;
  for (const one of facet.choices) {
    const made = element("button", "value");
    made.type = "button";
    made.setAttribute("aria-pressed", String(one.on));
    made.style.setProperty("--size", one.count / most);
    made.title = `${one.label}: ${many(one.count)}`;
    made.dataset.key = JSON.stringify([facet.column, one.label]);
    made.append(element("span", "name", one.label), element("span", "count", one.count.toLocaleString("en")));
    made.addEventListener("click", () => emit("pick", { column: facet.column, label: one.label }));
    list.append(made);
  }
  box.append(list);
}

function histogram(box, facet, emit) {
  const most = Math.max(1, ...facet.choices.map((one) => one.count));
  const bars = element("div", "range");
  let from = null;
  const pick = (low, high) => {
    const [first, last] = [Math.min(low, high), Math.max(low, high)].map((place) => facet.choices[place].label);
    emit("pick", { column: facet.column, label: first, last });
  };
  const mark = (low, high) => [...bars.children].forEach((bar, place) => {
    bar.classList.toggle("meant", place >= Math.min(low, high) && place <= Math.max(low, high));
  });
  facet.choices.forEach((one, place) => {
    const bar = element("button", "bar");
    bar.type = "button";
    bar.tabIndex = place ? -1 : 0;
    bar.setAttribute("aria-pressed", String(one.on));
    bar.setAttribute("aria-label", `${facet.label} ${one.label}: ${many(one.count)}`);
    bar.title = `${one.label}: ${many(one.count)}`;
    bar.dataset.key = JSON.stringify([facet.column, one.label]);
    bar.style.setProperty("--size", one.count ? Math.max(one.count / most, 0.03) : 0);
    bar.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      from = place;
      event.preventDefault();
      bar.focus();
    });
    bar.addEventListener("pointerenter", () => from !== null && mark(from, place));
    bar.addEventListener("pointerup", () => { if (from !== null) pick(from, place); from = null; });
    bar.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        return pick(place, place);
      }
      const next = bars.children[place + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? NaN)];
      next?.focus();
    });
    bars.append(bar);
  });
  for (const ended of ["pointerleave", "pointercancel"]) bars.addEventListener(ended, () => { from = null; mark(-1, -2); });
  bars.setAttribute("role", "group");
  bars.setAttribute("aria-label", `${facet.label}: drag over bars to see only these`);
  const ends = element("div", "ends");
  ends.append(element("span", "", facet.ends[0]), element("span", "", facet.ends[1]));
  box.append(bars, ends);
}
