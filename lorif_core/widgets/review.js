// The review queue: one text at a time, a key for every decision.

Object.assign(KINDS, { review });

const DOUBLE_CLICK_MS = 350;

// A button and the letter that presses it. The second half of a double click is no second decision.
function keyButton(state, label, key, click, options = {}) {
  const made = button(label + " ", key.toLowerCase(), (event) => {
    const isDouble = event.detail > 1 && event.timeStamp - (state.clickedAt ?? 0) < DOUBLE_CLICK_MS;
    if (event.detail) state.clickedAt = event.timeStamp;
    if (!isDouble) click();
  }, options);
  made.append(element("kbd", "", key));
  return made;
}

function review(root, data, emit) {
  const state = stateOf(root, { noting: false });
  const panel = { state, emit, data, again: () => review(root, data, emit) };
  root.classList.add("panel");
  const shown = data.reader?.key ? data.reader : null;
  state.open = shown?.key ?? null;  // of buttons that were drawn for an earlier text, too
  const decide = (act, more = {}) => () => {
    const token = newToken();
    hold(state, (now) => now.answered === token);
    emit("review", { act, reason: state.reason, token, id: state.open, ...more });
  };

  section(root, "facts", [data.title, data.num_done, data.total, data.place], (box) => {
    const bar = element("progress");
    bar.max = Math.max(data.total, 1);
    bar.value = data.num_done;
    bar.setAttribute("aria-label", "Texts done");
    const place = shown ? ` · text ${data.place} of ${data.total.toLocaleString("en")}` : "";
    box.replaceChildren(element("b", "", data.title), row("working", bar, element("span", "", `${data.num_done} of ${data.total} done${place}`)));
  });
  section(root, "passage", [data.reader, data.statuses], (box) => {
    if (!shown) {
      box.replaceChildren(element("p", "", data.total ? `All ${count(data.total, "text")} of this queue are done.` : "Nothing is left to review here."));
      return;
    }
    const text = textBlock(shown.plain);
    text.classList.add("whole");
    text.tabIndex = 0;
    box.replaceChildren(pageHead(shown, statusOf(panel, shown.key)), text);
  });
  section(root, "decisions", [state.reason, state.noting, data.said.token, Boolean(shown)], (box) => {
    const off = { off: !shown }, key = (label, letter, click, options) => keyButton(state, label, letter, click, options);
    box.replaceChildren(row(
      "decide",
      key("Keep", "A", decide("keep"), { ...off, title: "It is fine." }),
      key("Flag", "F", decide("flag"), { ...off, title: "Suspicious; it stays in the data." }),
      key("Exclude", "X", decide("exclude"), { off: !shown || !state.reason, title: state.reason ? `Leave it out of every export, as ${state.reason}.` : "Choose a reason first: press a number." }),
      key("Needs review", "N", decide("needs-review"), { ...off, title: "Label it for somebody else." }),
      key("Skip", "S", decide("skip"), off),
      key("Undo", "U", decide("undo")),
      key("Comment", "M", () => { state.noting = !state.noting; panel.again(); }, off),
    ));
    if (shown && state.noting) {
      const text = field("textarea", "Comment", "note-text", state.drafts.note, (value) => { state.drafts.note = value; });
      box.append(row("form", text, button("Save comment", "note-save", () => {
        state.noting = false;
        decide("note", { text: state.drafts.note })();
        state.drafts.note = "";
        panel.again();
      }, { classes: "main" })));
    }
  });
  const choose = (reason) => () => { state.reason = state.reason === reason ? null : reason; panel.again(); };
  section(root, "reasons", [state.reason, data.reasons], (box) => box.replaceChildren(row(
    "",
    element("span", "quiet", "Reason"),
    ...data.reasons.map((reason, place) => {
      const made = button(" " + reason, "reason-" + reason, choose(reason), { classes: reason === state.reason ? "main" : "" });
      if (place < 9) made.prepend(element("kbd", "", place + 1));
      made.setAttribute("aria-pressed", String(reason === state.reason));
      return made;
    }),
  )));
  section(root, "message", data.said, (box) => box.replaceChildren(saidLine(panel)));
  section(root, "about", [data.reader, data.guidelines], (box) => box.replaceChildren(...guidelinesBox(data), ...(shown ? about(shown) : [])));
  section(root, "keys", state.showsKeys, (box) => box.replaceChildren(...keysBox(state, ["J K", "A", "F", "X", "N", "S", "U", "M", "1 … 9", "?"])));
  const actions = Object.fromEntries(["a", "f", "x", "n", "s", "u", "m"].map((key) => [key, press(root, key)]));
  Object.assign(actions, { j: decide("next"), k: decide("previous"), "?": () => { state.showsKeys = !state.showsKeys; panel.again(); } });
  data.reasons.slice(0, 9).forEach((reason, place) => { actions[String(place + 1)] = choose(reason); });
  keys(root, data, actions);
}

// How the data set is to be reviewed, as its admin wrote it: plain, for a notebook has no page for it.
function guidelinesBox(data) {
  if (!data.guidelines) return [];
  const box = element("details", "guidelines");
  box.append(element("summary", "", "Guidelines"), element("div", "event", data.guidelines));
  return [box];
}
