// A data set to browse: search, condition, facets, pages.

Object.assign(KINDS, { corpus });

function corpus(root, data, emit) {
  const state = stateOf(root, {});
  const panel = { state, emit, data, again: () => corpus(root, data, emit) };
  root.classList.add("panel");
  const view = data.view, change = (more) => emit("view", { ...view, ...more });
  const local = [state.form, state.reason, data.said.token], keysShown = data.cards.map((card) => card.key);

  section(root, "search", [view, data.columns], (box) => {
    const typed = () => ({ search: search.value, where: where.value });  // is not lost by a choice beside it
    const enter = (event) => { if (event.key === "Enter" && !event.isComposing) change(typed()); };
    const search = field("input", "Search the texts", "search", view.search, () => {});
    const where = field("input", "Condition, such as year > 2000", "where", view.where, () => {});
    search.onkeydown = where.onkeydown = enter;
    where.classList.add("wide");
    const sorts = [["", "order of import"], ...data.columns.flatMap((name) => [[name, name + " ↑"], ["-" + name, name + " ↓"]])];
    box.replaceChildren(row(
      "",
      search,
      picker("How to search", "mode", [["words", "words"], ["contains", "characters"], ["regex", "regular expression"]], view.mode, (mode) => change({ ...typed(), mode })),
      where,
      picker("Status", "status", [["", "any status"], ["kept", "kept"], ["flagged", "flagged"], ["excluded", "excluded"]], view.status, (status) => change({ ...typed(), status })),
      picker("Order", "sort", sorts, view.sort, (sort) => change({ ...typed(), sort })),
      button("Search", "go", () => change(typed()), { classes: "main" }),
      button("Reset all", "reset", () => change({ search: "", where: "", status: "", sort: "", mode: "words", picks: [], clusters: [] })),
    ));
    if (view.picks.length) box.append(row("picks", ...view.picks.map((pick) => button(pick + "  ✕", "pick-" + pick, () => change({ picks: view.picks.filter((one) => one !== pick) })))));
  });
  section(root, "working", data.progress, (box) => box.replaceChildren(...[progressBar(panel)].filter(Boolean)));
  section(root, "tools", [data.total, data.offset, data.limit, data.progress?.label, data.said.token], (box) => {
    const last = Math.max(0, Math.floor((data.total - 1) / data.limit) * data.limit), end = Math.min(data.offset + data.limit, data.total);
    const to = (offset) => () => emit("page", offset);
    box.replaceChildren(row(
      "",
      element("b", "", data.total ? `${(data.offset + 1).toLocaleString("en")}–${end.toLocaleString("en")} of ${count(data.total, "text")}` : "No text matches."),
      button("First", "first", to(0), { off: data.offset <= 0 }),
      button("Previous", "previous", to(Math.max(0, data.offset - data.limit)), { off: data.offset <= 0 }),
      button("Next", "next", to(data.offset + data.limit), { off: data.offset + data.limit >= data.total }),
      button("Last", "last", to(last), { off: data.offset >= last }),
      undoButton(panel),
    ));
  });
  section(root, "message", data.said, (box) => box.replaceChildren(saidLine(panel)));
  section(root, "picked", [local, data.selected, data.statuses], (box) => box.replaceChildren(...[selectionBar(panel)].filter(Boolean)));
  const body = section(root, "body", null, () => {});
  body.classList.add("browsing");
  body.classList.toggle("reading", Boolean(data.reader?.key));
  section(body, "facets", data.facets, (box) => box.replaceChildren(...data.facets.map((facet) => facetBox(panel, facet))));
  section(body, "list", [local, data.cards, data.selected, data.statuses, data.reader?.key], (box) => box.replaceChildren(...data.cards.map((card) => hitCard(panel, card))));
  section(body, "reader", [local, data.reader, data.statuses, keysShown], (box) => {
    box.replaceChildren(...(data.reader?.key ? [readerBox(panel, keysShown)] : []));
  });
  readerKeys(root, panel, keysShown);
}

function facetBox(panel, facet) {
  const box = element("div", "facet"), most = Math.max(1, ...facet.choices.map((one) => one.count));
  box.append(element("h4", "", facet.label ?? facet.column));
  const pick = (place, one) => () => panel.emit("pick", { column: facet.column, place, label: one.label });
  if (facet.is_histogram) {
    const bars = element("div", "bars");
    facet.choices.forEach((one, place) => {
      const bar = button("", `${facet.column}-${place}`, pick(place, one), { title: `${one.label}: ${one.count.toLocaleString("en")}`, name: `${facet.column} ${one.label}: ${count(one.count, "text")}` });
      bar.setAttribute("aria-pressed", String(one.on));
      bar.style.setProperty("--size", (one.count ? Math.max(one.count / most, 0.03) : 0).toFixed(3));
      bars.append(bar);
    });
    box.append(bars, row("quiet ends", element("span", "", facet.ends[0]), element("span", "end", facet.ends[1])));
    return box;
  }
  for (const [place, one] of facet.choices.entries()) {
    const made = button("", `${facet.column}-${place}`, pick(place, one), { classes: "value" });
    made.setAttribute("aria-pressed", String(one.on));
    made.style.setProperty("--size", (one.count / most).toFixed(3));
    made.append(element("span", "", one.label), element("span", "quiet", one.count.toLocaleString("en")));
    box.append(made);
  }
  if (facet.rest) box.append(element("div", "quiet", facet.rest));
  return box;
}
