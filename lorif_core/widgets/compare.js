// Two questions side by side: which texts both bring up, how ranks change.

Object.assign(KINDS, { compare });

function compare(root, data, emit) {
  const state = stateOf(root, { tab: "all" });
  const panel = { state, emit, data, again: () => compare(root, data, emit) };
  root.classList.add("panel");
  const of = (listed) => data.rows.filter((one) => one.listed === listed);
  const lists = { all: data.rows, both: of("both"), a: of("a"), b: of("b") };
  const shown = lists[state.tab], local = [state.form, state.reason, state.heat, state.tab, data.said.token];

  section(root, "question", [data.a, data.b, data.facts], (box) => box.replaceChildren(
    sideLine("A", data.a), sideLine("B", data.b), element("div", "quiet", data.facts.join(" · ")),
  ));
  section(root, "slopes", [data.rows.map((one) => [one.rank_a, one.rank_b]), state.tab], (box) => box.replaceChildren(slopes(shown)));
  section(root, "tools", [local, data.rows.length], (box) => box.replaceChildren(row(
    "",
    tabs(
      [["all", "All"], ["both", `Shared ${lists.both.length}`], ["a", `Only A ${lists.a.length}`], ["b", `Only B ${lists.b.length}`]],
      state.tab,
      (name) => { state.tab = name; panel.again(); },
    ),
    undoButton(panel),
    element("span", "quiet", "Ranks count all texts; 1 is the strongest."),
  )));
  section(root, "message", data.said, (box) => box.replaceChildren(saidLine(panel)));
  section(root, "picked", [local, data.selected, data.statuses], (box) => box.replaceChildren(...[selectionBar(panel)].filter(Boolean)));
  const body = section(root, "body", null, () => {});
  body.classList.toggle("reading", Boolean(data.reader?.key));
  section(body, "list", [local, shown, data.selected, data.statuses, data.reader?.key], (box) => {
    box.replaceChildren(...shown.map((one) => rankCard(panel, one)));
    if (!shown.length) box.append(element("p", "quiet", "None."));
  });
  section(body, "reader", [local, data.reader, data.statuses, shown.map((one) => one.key)], (box) => {
    box.replaceChildren(...(data.reader?.key ? [readerBox(panel, shown.map((one) => one.key))] : []));
  });
  readerKeys(root, panel, shown.map((one) => one.key));
}

function sideLine(name, asked) {
  const line = element("div", "asked");
  line.dir = "auto";
  line.append(element("span", "chip", name), " ");
  for (const piece of asked.pieces) line.append(element(piece.differs ? "b" : "span", piece.differs ? "differs" : "", piece.t));
  if (asked.about) line.append(element("span", "quiet", "  " + asked.about));
  return line;
}

function rankCard(panel, one) {
  const card = hitCard(panel, one);
  const change = one.rank_a === null || one.rank_b === null ? "" : one.rank_a === one.rank_b ? "=" : one.rank_b < one.rank_a ? "▲ in B" : "▼ in B";
  const rank = (value) => value === null ? "–" : value.toLocaleString("en");
  const said = `A #${rank(one.rank_a)} → B #${rank(one.rank_b)}`;
  const ranks = element("span", "score", said);
  card.querySelector(".head input").after(ranks, element("span", "quiet", [change, `${one.score_a} → ${one.score_b}`].filter(Boolean).join(" · ")));
  return card;
}

// A line per text from its rank for A, left, to its rank for B, right; ranks on a logarithmic axis.
function slopes(rows) {
  const width = 560, height = 150, left = 46, right = width - 46, top = 12, floor = height - 10;
  const drawn = rows.filter((one) => one.rank_a !== null && one.rank_b !== null);
  const most = Math.log(Math.max(2, ...drawn.flatMap((one) => [one.rank_a, one.rank_b])));
  const y = (rank) => top + (Math.log(rank) / most) * (floor - top);
  const made = (tag, attributes, content) => {
    const one = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const name in attributes) one.setAttribute(name, attributes[name]);
    if (content !== undefined) one.textContent = content;
    return one;
  };
  const picture = made("svg", { viewBox: `0 0 ${width} ${height}`, class: "bins slopes", role: "img" });
  picture.setAttribute("aria-label", `Rank of ${drawn.length} texts for A and for B`);
  for (const one of drawn) {
    const line = made("path", { d: `M${left} ${y(one.rank_a)} L${right} ${y(one.rank_b)}`, class: "line " + one.listed });
    line.append(made("title", {}, `${one.id}: ${one.rank_a} → ${one.rank_b}`));
    picture.append(line, made("circle", { cx: left, cy: y(one.rank_a), r: 3, class: one.listed }), made("circle", { cx: right, cy: y(one.rank_b), r: 3, class: one.listed }));
  }
  for (const [x, anchor, name] of [[left - 8, "end", "rank_a"], [right + 8, "start", "rank_b"]]) {
    const last = Math.max(1, ...drawn.map((one) => one[name]));
    picture.append(made("text", { x, y: top + 3, "text-anchor": anchor }, "1"));
    if (last > 3) picture.append(made("text", { x, y: y(last) + 3, "text-anchor": anchor }, last.toLocaleString("en")));
  }
  return picture;
}
