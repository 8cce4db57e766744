// The map: points by WebGL, names of clusters over them, a lasso. Of Plotly's figures those by WebGL run code that they
// write themselves, which the studio's Content-Security-Policy forbids; this draws without.
//
// Data: {label, ids: [id, …], x: [0 … 1, …], y: […], group: [place in groups, …] or null, share: [-1 … 1 or null, …] or null,
//        groups: [{name, count, colour}], ends: [text, text], starts: [text, …] or null, names: [{x, y, t}], size,
//        forgotten: how often the lasso was forgotten}
// Events: lasso([id, …]). Data reaches the page by textContent only.

const VERTEX = `attribute vec2 place; attribute vec4 colour; uniform vec3 view; uniform vec2 sides; uniform float size;
varying vec4 hue; void main() { vec2 at = (place - view.xy) * view.z; gl_Position = vec4(at / sides * 2.0, 0.0, 1.0);
gl_PointSize = size; hue = colour; }`;
const FRAGMENT = `precision mediump float; varying vec4 hue; void main() { vec2 d = gl_PointCoord - 0.5; float r = length(d);
float a = hue.a * (1.0 - smoothstep(0.40, 0.5, r)); gl_FragColor = vec4(hue.rgb * a, a); }`;
const NEAR = 9, HEIGHT = 600;

export default ({ parentElement, data, setTriggerValue }) => {
  let root = parentElement.querySelector(".map");
  if (!root) {
    root = element("div", "map");
    parentElement.appendChild(root);
  }
  root.emit = (ids) => setTriggerValue("lasso", ids);
  const { ids, starts, shown, forgotten, ...drawn } = data;  // texts stay as they are where nothing else has changed
  const same = JSON.stringify([ids.length, ids[0], drawn]);
  if (root.drawn !== same) {
    root.drawn = same;
    draw(root, data);
  }
  if (root.forgotten !== forgotten) {
    root.forgotten = forgotten;
    root.state.path = [];
    outline(root.state);
  }
};

function element(tag, classes, content) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (content !== undefined && content !== null) made.textContent = content;
  return made;
}

function draw(root, data) {
  const before = root.state, isAlike = before?.data.ids.length === data.ids.length;
  before?.sized.disconnect();
  before?.gl?.getExtension("WEBGL_lose_context")?.loseContext();  // a browser has few of them
  const stage = element("div", "stage"), canvas = element("canvas"), line = element("canvas"), names = element("div", "names");
  const tip = element("div", "tip");
  const state = { root, data, stage, canvas, line, names, tip, view: null, tool: "lasso", path: [], lit: null };
  if (isAlike) Object.assign(state, { view: before.view, path: before.path, tool: before.tool });
  root.state = state;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", data.label);
  names.setAttribute("aria-hidden", "true");
  tip.hidden = true;
  stage.append(canvas, line, names, tip);
  root.replaceChildren(tools(state), stage, legend(state));
  for (const one of data.names) {
    const said = element("span", "name", one.t);
    said.place = one;
    names.append(said);
  }
  prepare(state);
  listen(state);
  state.sized = new ResizeObserver(() => paint(state));
  state.sized.observe(stage);
}

function tools(state) {
  const box = element("div", "tools"), choices = [];
  const button = (label, act) => {
    const made = element("button", "", label);
    made.type = "button";
    made.addEventListener("click", act);
    box.append(made);
    return made;
  };
  for (const [label, tool] of [["Lasso", "lasso"], ["Move", "move"]]) {
    const made = button(label, () => {
      state.tool = tool;
      for (const one of choices) one.setAttribute("aria-pressed", String(one === made));
      state.stage.dataset.tool = tool;
    });
    made.setAttribute("aria-pressed", String(tool === state.tool));
    choices.push(made);
  }
  button("Closer", () => zoom(state, 1.5));
  button("Farther", () => zoom(state, 1 / 1.5));
  button("Whole map", () => { state.view = null; paint(state); });
  return box;
}

function legend(state) {
  const box = element("div", "legend"), { data } = state;
  if (data.share) {
    const scale = element("div", "scale");
    scale.append(element("span", "", data.ends[0]), element("i"), element("span", "", data.ends[1]));
    scale.children[1].style.background = `linear-gradient(to right, ${data.groups.map((one) => one.colour).join(", ")})`;
    box.append(scale);
    return box;
  }
  data.groups.forEach((group, place) => {
    const made = element("button", "group");
    made.type = "button";
    made.title = "Click to see this one alone";
    const dot = element("i");
    dot.style.background = group.colour;
    made.append(dot, element("span", "", group.name), element("small", "", group.count.toLocaleString("en")));
    made.setAttribute("aria-pressed", "false");
    made.addEventListener("click", () => {
      state.lit = state.lit === place ? null : place;
      for (const [at, one] of [...box.children].entries()) one.setAttribute("aria-pressed", String(at === state.lit));
      colour(state);
      paint(state);
    });
    box.append(made);
  });
  return box;
}

// ---- drawing

function prepare(state) {
  const { data, canvas } = state;
  state.places = new Float32Array(2 * data.ids.length);
  data.ids.forEach((_, at) => { state.places[2 * at] = data.x[at]; state.places[2 * at + 1] = data.y[at]; });
  state.gl = canvas.getContext("webgl", { premultipliedAlpha: true, antialias: true, preserveDrawingBuffer: true });
  if (state.gl) {
    link(state);
    // A graphics card that was asleep or reset gives the canvas back empty.
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { link(state); colour(state); paint(state); });
  }
  colour(state);
}

function link(state) {
  const { gl } = state, program = (state.program = gl.createProgram());
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  state.uniforms = Object.fromEntries(["view", "sides", "size"].map((name) => [name, gl.getUniformLocation(program, name)]));
  state.buffers = {};
  attribute(state, "place", state.places, 2, gl.FLOAT);
}

function attribute({ gl, program, buffers }, name, values, width, type) {
  const place = gl.getAttribLocation(program, name);
  gl.bindBuffer(gl.ARRAY_BUFFER, (buffers[name] ??= gl.createBuffer()));
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, width, type, type === gl.UNSIGNED_BYTE, 0, 0);
}

function rgb(text) {
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

function colour(state) {
  const { data } = state, hues = data.groups.map((one) => rgb(one.colour));
  const found = (state.hues = new Uint8Array(4 * data.ids.length));
  data.ids.forEach((_, at) => {
    let hue, alpha = 190;
    if (data.share) {
      const share = data.share[at], scaled = ((share ?? 0) + 1) / 2 * (hues.length - 1);
      const low = Math.min(hues.length - 2, Math.floor(scaled)), part = scaled - low;
      hue = hues[low].map((one, k) => one + (hues[low + 1][k] - one) * part);
      alpha = share === null ? 30 : 90 + 150 * Math.min(1, Math.abs(share) * 1.5);
    } else {
      hue = hues[data.group[at]];
      if (state.lit !== null) alpha = data.group[at] === state.lit ? 235 : 22;
    }
    found.set([...hue, alpha], 4 * at);
  });
  if (state.gl) attribute(state, "colour", found, 4, state.gl.UNSIGNED_BYTE);
}

function fit(state) {
  if (state.view) return;
  const { width, height } = state.sides;
  state.view = { x: 0.5, y: 0.5, z: Math.min(width / 1.12, height / 1.04) };
}

function paint(state) {
  const box = state.stage.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  if (!box.width) return;
  state.sides = { width: box.width, height: HEIGHT };
  for (const one of [state.canvas, state.line]) {
    if (one.width !== Math.round(box.width * ratio)) one.width = Math.round(box.width * ratio);
    if (one.height !== Math.round(HEIGHT * ratio)) one.height = Math.round(HEIGHT * ratio);
  }
  fit(state);
  const { gl, view } = state, size = state.data.size * Math.min(2.2, Math.sqrt(view.z / Math.min(box.width, HEIGHT)));
  if (gl) {
    gl.viewport(0, 0, state.canvas.width, state.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform3f(state.uniforms.view, view.x, view.y, view.z);
    gl.uniform2f(state.uniforms.sides, box.width, HEIGHT);
    gl.uniform1f(state.uniforms.size, size * ratio);
    gl.drawArrays(gl.POINTS, 0, state.data.ids.length);
  } else flat(state, size, ratio);
  placeNames(state);
  outline(state);
}

function flat(state, size, ratio) {  // a browser without WebGL
  const pen = state.canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, state.sides.width, HEIGHT);
  state.data.ids.forEach((_, at) => {
    const [x, y] = onScreen(state, state.data.x[at], state.data.y[at]), hue = state.hues.subarray(4 * at, 4 * at + 4);
    pen.fillStyle = `rgba(${hue[0]},${hue[1]},${hue[2]},${hue[3] / 255})`;
    pen.fillRect(x - size / 2, y - size / 2, size, size);
  });
}

function onMap(state, [x, y]) {
  const { view, sides } = state;
  return [view.x + (x - sides.width / 2) / view.z, view.y - (y - HEIGHT / 2) / view.z];
}

function onScreen(state, x, y) {
  const { view, sides } = state;
  return [(x - view.x) * view.z + sides.width / 2, HEIGHT / 2 - (y - view.y) * view.z];
}

// Names lie where their texts do; of names that would lie on each other the larger cluster's stays until one zooms in.
function placeNames(state) {
  const taken = [];
  for (const said of state.names.children) {
    const [x, y] = onScreen(state, said.place.x, said.place.y);
    said.style.display = "";
    const wide = (said.wide ??= said.offsetWidth), high = (said.high ??= said.offsetHeight);
    const left = Math.max(2, Math.min(state.sides.width - wide - 2, x - wide / 2)), top = y - high / 2;
    const isOff = x < 0 || x > state.sides.width || top < 0 || top + high > HEIGHT;
    const isOn = taken.some(([l, t, w, h]) => left < l + w + 3 && l < left + wide + 3 && top < t + h + 2 && t < top + high + 2);
    said.style.display = isOff || isOn ? "none" : "";
    if (isOff || isOn) continue;
    said.style.transform = `translate(${left}px, ${top}px)`;
    taken.push([left, top, wide, high]);
  }
}

// ---- hands

function zoom(state, factor, at) {
  const { view, sides } = state, [x, y] = at ?? [sides.width / 2, HEIGHT / 2], world = onMap(state, [x, y]);
  view.z *= factor;
  view.x = world[0] - (x - sides.width / 2) / view.z;
  view.y = world[1] + (y - HEIGHT / 2) / view.z;
  paint(state);
}

function listen(state) {
  const { stage } = state;
  stage.dataset.tool = state.tool;
  const where = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let last = null, isDrawn = false;
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(state, Math.exp(-event.deltaY / 400), where(event));
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    stage.setPointerCapture(event.pointerId);
    last = where(event);
    isDrawn = state.tool === "lasso" && !event.shiftKey;
    if (isDrawn) state.path = [onMap(state, last)];
    state.tip.hidden = true;
  });
  stage.addEventListener("pointermove", (event) => {
    const now = where(event);
    if (!last) return hover(state, now);
    if (isDrawn) {
      state.path.push(onMap(state, now));
      outline(state);
    } else {
      state.view.x -= (now[0] - last[0]) / state.view.z;
      state.view.y += (now[1] - last[1]) / state.view.z;
      paint(state);
    }
    last = now;
  });
  const end = () => {
    if (last && isDrawn && state.path.length > 2) choose(state);
    last = null;
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", () => { last = null; });
  stage.addEventListener("pointerleave", () => { state.tip.hidden = true; });
}

// The lasso lies on the map, so it moves with it; it stays until another one is drawn or it is forgotten.
function outline(state) {
  if (!state.sides) return;
  const pen = state.line.getContext("2d"), ratio = window.devicePixelRatio || 1;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, state.sides.width, HEIGHT);
  if (!state.path.length) return;
  pen.beginPath();
  for (const [x, y] of state.path) pen.lineTo(...onScreen(state, x, y));
  pen.closePath();
  pen.fillStyle = "rgba(47,111,222,0.12)";
  pen.strokeStyle = "#2f6fde";
  pen.lineWidth = 1.5;
  pen.fill();
  pen.stroke();
}

function choose(state) {
  const { data, path } = state;
  const ids = data.ids.filter((_, at) => inside([data.x[at], data.y[at]], path));
  state.root.emit(ids);
}

function inside([x, y], path) {
  let is = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
    const [xi, yi] = path[i], [xj, yj] = path[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) is = !is;
  }
  return is;
}

function hover(state, [x, y]) {
  const { data, tip } = state;
  let best = NEAR * NEAR, found = -1;
  for (let at = 0; at < data.ids.length; at++) {
    const dx = (state.places[2 * at] - state.view.x) * state.view.z + state.sides.width / 2 - x;
    const dy = HEIGHT / 2 - (state.places[2 * at + 1] - state.view.y) * state.view.z - y;
    const apart = dx * dx + dy * dy;
    if (apart < best) [best, found] = [apart, at];
  }
  tip.hidden = found < 0;
  if (found < 0) return;
  const more = data.share ? data.told[found] : data.groups[data.group[found]].name;
  tip.replaceChildren(element("b", "", data.starts ? data.starts[found] : data.shown[found]), element("small", "", more));
  tip.style.left = Math.max(4, Math.min(state.sides.width - 330, x + 12)) + "px";
  tip.style.top = (y > HEIGHT - 90 ? y - 74 : y + 14) + "px";
}
