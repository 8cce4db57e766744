// The review queue: one text at a time, a key for every decision.

Object.assign(KINDS, { review });

// A button and the letter that presses it.
function keyButton(label, key, click, options = {}) {
  const made = button(label + " ", key.toLowerCase(), click, options);
  made.append(element("kbd", "", key));
  return made;
}

function review(root, data, emit) {
  const state = stateOf(root, { reason: null, noting: false });
  const panel = { state, emit, data, again: () => review(root, data, emit) };
  root.classList.add("panel");
  root.tabIndex = -1;
  const decide = (act, more = {}) => () => emit("review", { act, reason: state.reason, token: data.said.token, ...more });
  const shown = data.reader?.key ? data.reader : null;

  section(root, "facts", [data.title, data.num_done, data.total, data.place], (box) => {
    const bar = element("progress");
    bar.max = Math.max(data.total, 1);
    bar.value = data.num_done;
    bar.setAttribute("aria-label", "Texts done");
    const place = shown ? ` · text ${data.place} of ${data.total.toLocaleString("en")}` : "";
    box.replaceChildren(element("div", "asked", data.title), row("working", bar, element("span", "", `${data.num_done} of ${data.total} done${place}`)));
  });
  section(root, "message", data.said, (box) => box.replaceChildren(saidLine(panel)));
  section(root, "passage", [data.reader, data.statuses], (box) => {
    if (!shown) {
      box.replaceChildren(element("p", "", data.total ? `All ${data.total} texts of this queue are done.` : "Nothing is left to review here."));
      return;
    }
    const text = textBlock(shown.plain);
    text.classList.add("whole");
    text.tabIndex = 0;
    box.replaceChildren(pageHead(shown, statusOf(panel, shown.key)), text);
  });
  section(root, "decisions", [state.reason, state.noting, data.said.token, Boolean(shown)], (box) => {
    const off = { off: !shown };
    box.replaceChildren(row(
      "decide",
      keyButton("Keep", "K", decide("keep"), { ...off, title: "It is fine." }),
      keyButton("Flag", "F", decide("flag"), { ...off, title: "Suspicious; it stays in the data." }),
      keyButton("Exclude", "X", decide("exclude"), { off: !shown || !state.reason, title: state.reason ? "Leave it out of every export." : "Choose a reason first: press a number." }),
      keyButton("Needs review", "N", decide("needs-review"), { ...off, title: "Label it for somebody else." }),
      keyButton("Skip", "S", decide("skip"), off),
      keyButton("Undo", "U", decide("undo")),
      keyButton("Note", "M", () => { state.noting = !state.noting; panel.again(); }, off),
    ));
    if (shown && state.noting) {
      const text = field("textarea", "Note", "note-text", state.drafts.note, (value) => { state.drafts.note = value; });
      box.append(row("form", text, button("Save note", "note-save", () => {
        state.noting = false;
        emit("review", { act: "note", text: state.drafts.note, token: data.said.token });
        state.drafts.note = "";
        panel.again();
      }, { classes: "main" })));
    }
  });
  const choose = (reason) => () => { state.reason = state.reason === reason ? null : reason; panel.again(); };
  section(root, "reasons", [state.reason, data.reasons], (box) => box.replaceChildren(
    element("div", "quiet", "Reason for an exclusion or a flag: press its number; the same again takes it back."),
    row("", ...data.reasons.map((reason, place) => {
      const made = button(" " + reason, "reason-" + reason, choose(reason), { classes: reason === state.reason ? "main" : "" });
      if (place < 9) made.prepend(element("kbd", "", place + 1));
      made.setAttribute("aria-pressed", String(reason === state.reason));
      return made;
    })),
  ));
  section(root, "about", data.reader, (box) => box.replaceChildren(...(shown ? about(shown) : [])));
  const actions = Object.fromEntries(["k", "f", "x", "n", "s", "u", "m"].map((key) => [key, press(root, key)]));
  data.reasons.slice(0, 9).forEach((reason, place) => { actions[String(place + 1)] = choose(reason); });
  keys(root, actions);
}
