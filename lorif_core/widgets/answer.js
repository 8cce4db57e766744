// An answer: the completion's words to choose from, the histogram of all scores, the ranked lists, the reader.

Object.assign(KINDS, { answer });

const FOLD = 240;  // characters of a prompt that are shown at first, its last ones

function answer(root, data, emit) {
  const state = stateOf(root, { tab: "supports", showsDetails: false });
  const panel = { state, emit, data, again: () => answer(root, data, emit) };
  root.classList.add("panel");
  const lists = { supports: data.supports, opposes: data.opposes, all: [...data.supports, ...data.opposes] };
  const shown = lists[state.tab];
  const local = [state.form, state.reason, state.heat, state.tab, data.said.token];

  section(root, "question", [data.question, data.strip, data.selected_tokens, data.can_load], (box) => questionBox(panel, box));
  section(root, "working", data.progress, (box) => box.replaceChildren(...[progressBar(panel)].filter(Boolean)));
  section(root, "tools", [local, data.supports.length, data.opposes.length], (box) => box.replaceChildren(row(
    "",
    tabs(
      [["supports", `Supports ${data.supports.length}`], ["opposes", `Opposes ${data.opposes.length}`], ["all", "All"]],
      state.tab,
      (name) => { state.tab = name; panel.again(); },
    ),
    toggle("Token heat", "heat", state.heat, (isOn) => { state.heat = isOn; panel.again(); }),
    undoButton(panel),
    legendBox(),
    element("span", "quiet end", "? shows the keys"),
  )));
  section(root, "message", data.said, (box) => box.replaceChildren(saidLine(panel)));
  section(root, "picked", [local, data.selected, data.statuses], (box) => box.replaceChildren(...[selectionBar(panel)].filter(Boolean)));
  const body = section(root, "body", null, () => {});
  body.classList.toggle("reading", Boolean(data.reader?.key));
  section(body, "list", [local, shown, data.selected, data.statuses, data.reader?.key], (box) => {
    box.replaceChildren(...shown.flatMap((hit) => [...(hit.line ? [noiseLine(hit.line)] : []), hitCard(panel, hit)]));
    if (!shown.length) box.append(element("p", "quiet", state.tab === "opposes" ? "No opposing texts were asked for, or none has a negative score." : "No text has a positive score."));
  });
  section(body, "reader", [local, data.reader, data.statuses, shown.map((hit) => hit.key)], (box) => {
    box.replaceChildren(...(data.reader?.key ? [readerBox(panel, shown.map((hit) => hit.key))] : []));
  });
  section(root, "facts", [data.facts, data.bins], (box) => {
    const details = element("details");
    details.open = state.showsDetails;
    details.ontoggle = () => { state.showsDetails = details.open; };
    const said = element("div", "quiet facts");
    said.append(...data.facts.flatMap((fact, place) => [place ? " · " : "", element("span", "", fact)]));
    said.title = data.sign;
    details.append(element("summary", "", "Details"), row("", said, data.bins ? histogram(data.bins) : null));
    box.replaceChildren(details);
  });
  readerKeys(root, panel, shown.map((hit) => hit.key));
}

function questionBox(panel, box) {
  const { emit, data } = panel, asked = data.question;
  const line = askedLine({ ...asked, contrast_word: "compared with", fold: FOLD });
  let picked = box.querySelector(".picked-tokens");
  if (!data.strip) {
    picked = null;
    box.replaceChildren(line);
    if (data.can_load) box.append(row("", button("Choose words", "load", (event) => {
      event.currentTarget.disabled = true;
      emit("load", null);
    }, { title: "Loads the model." })));
    return;
  }
  if (!picked) picked = element("div", "picked-tokens");
  const several = data.selected_tokens.length;
  const explained = several ? `Explains ${several} of ${count(data.strip.tokens.length, "token")}.` : "Explains the whole completion.";
  const note = row("quiet", element("span", "", explained + " Click, Shift-click or arrow keys and Space choose words to explain alone."));
  if (several) note.append(button("All words", "all-words", () => emit("selected_tokens", [])));
  box.replaceChildren(line, picked, note);
  strip(picked, { ...data.strip, selected: data.selected_tokens }, emitLater(panel));
}

// A drag through five tokens is one question, not five.
function emitLater(panel) {
  return (name, value) => {
    clearTimeout(panel.state.later);
    panel.state.later = setTimeout(() => panel.emit("selected_tokens", value), 300);
  };
}
