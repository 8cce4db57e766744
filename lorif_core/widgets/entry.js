// Between a kernel and a panel: the traits of the widget are what is drawn, clicks become messages.
// A redacted widget sends its texts by message instead, so that no notebook saves them.

const SHOWN = ["data", "statuses", "reader", "progress", "said", "selected", "selected_tokens"];
const OURS = ["selected", "selected_tokens"];

export default {
  render({ model, el }) {
    const apart = {};
    let isDue = false;
    const emit = (name, value) => {
      if (OURS.includes(name)) {
        model.set(name, value);
        model.save_changes();
      } else {
        model.send({ kind: name, value });
      }
    };
    const draw = () => {
      isDue = false;
      const now = Object.fromEntries(SHOWN.map((name) => [name, apart[name] ?? model.get(name)]));
      const { data, ...rest } = now;
      if (data.mode) render(el, { ...data, ...rest }, emit);
    };
    const later = () => {
      if (!isDue) setTimeout(draw, 0);
      isDue = true;
    };
    const receive = (message) => {
      apart[message.trait] = message.value;
      later();
    };
    for (const name of SHOWN) model.on("change:" + name, later);
    model.on("msg:custom", receive);
    if (model.get("is_redacted")) model.send({ kind: "hello", value: null });
    draw();
    return () => {
      for (const name of SHOWN) model.off("change:" + name, later);
      model.off("msg:custom", receive);
    };
  },
};
