// The board in a browser. Text from records becomes text nodes and attributes, never markup: nothing here sets innerHTML,
// and DataTables gets nodes for its cells and finds its headings in place. What it sorts and searches it takes for HTML
// and decodes by innerHTML, so that is `escaped`.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("content").textContent);
const place = Object.fromEntries(data.columns.map((name, i) => [name, i]));
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const boardOf = new Map(); // row of the table to the leaderboard it stands on
data.boards.forEach((board) =>
  board.lines.forEach((line) => line.cells.forEach((cell) => cell[3] !== null && boardOf.set(cell[3], board))));

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const field = (row, name) => data.rows[row][place[name]];
const settings = (protocol) => Object.entries(protocol).filter(([, v]) => v !== "" && v !== null).map(([k, v]) => `${k} ${v}`).join(", ");
const number = (v) => (v === null || v === undefined ? "—" : String(Number(v.toPrecision(6))));
const percent = (v) => (v === null ? "—" : `${Math.round(100 * v)} %`);
const interval = (row) => field(row, "ci_low") === null ? "—" : `${number(field(row, "ci_low"))} to ${number(field(row, "ci_high"))}`;
const pick = (label, options, onchange) => {
  const select = el("select", { onchange: () => onchange(select.value) },
    options.map(([value, text]) => el("option", { value }, text)));
  return el("label", {}, label, select);
};

// ---- libraries: packed into the page, unpacked when first needed
const loaded = {};
function library(id) {
  return (loaded[id] ??= (async () => {
    const bytes = Uint8Array.from(atob(byId(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const url = URL.createObjectURL(new Blob([await new Response(stream).blob()], { type: "text/javascript" }));
    try { return await import(url); } finally { URL.revokeObjectURL(url); }
  })());
}

// ---- light and dark
const themes = ["auto", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";
try { theme = themes.includes(localStorage.getItem("syncbench-theme")) ? localStorage.getItem("syncbench-theme") : "auto"; } catch { /* private window */ }
function paint() {
  document.documentElement.dataset.theme = theme === "auto" ? (system.matches ? "dark" : "light") : theme;
  byId("theme").textContent = `Theme: ${theme}`;
  document.querySelectorAll(".plot").forEach((plot) => plot.redraw?.());
}
byId("theme").addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  try { localStorage.setItem("syncbench-theme", theme); } catch { /* not kept */ }
  paint();
});
system.addEventListener("change", paint);

// ---- download of the rows
function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
const quoted = (v) => (v === null ? "" : /[",\r\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : String(v));
byId("csv").addEventListener("click", () =>
  save("syncbench-rows.csv", "text/csv", [data.columns, ...data.rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n"));
byId("json").addEventListener("click", () =>
  save("syncbench-rows.json", "application/json",
    JSON.stringify(data.rows.map((row) => Object.fromEntries(row.map((v, i) => [data.columns[i], v]))), null, 1) + "\n"));

// ---- plots
async function plot(spec) {
  const node = el("div", { class: "plot" });
  node.redraw = async () => {
    await library("plots");
    const style = getComputedStyle(document.documentElement);
    const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
    const axis = { labelColor: soft, titleColor: ink, gridColor: line, domainColor: line, tickColor: line };
    const config = { background: null, view: { stroke: line }, axis, header: { labelColor: ink, titleColor: ink },
      legend: { labelColor: ink, titleColor: ink }, text: { color: ink }, font: "system-ui, sans-serif" };
    await window.vegaEmbed(node, { ...spec, config }, { actions: false, renderer: "svg", ast: true });
  };
  await node.redraw();
  return node;
}

function scatter(board) {
  const costs = board.columns.map((c, i) => [c, i]).filter(([c]) => c.panel === "cost");
  const others = board.columns.map((c, i) => [c, i]).filter(([c]) => c.panel !== "cost");
  if (!costs.length || !others.length) return null;
  const chosen = { x: (costs.find(([c]) => c.first) ?? costs[0])[1], y: (others.find(([c]) => c.first) ?? others[0])[1] };
  const stage = el("div");
  const draw = async () => {
    const [x, y] = [board.columns[chosen.x], board.columns[chosen.y]];
    const values = board.lines.flatMap((line) => {
      const [a, b] = [line.cells[chosen.x][3], line.cells[chosen.y][3]];
      if (a === null || b === null || field(a, "value") === null || field(b, "value") === null) return [];
      return [{ name: line.name, x: field(a, "value"), y: field(b, "value"), low: field(b, "ci_low"), high: field(b, "ci_high"), kind: line.anchor || "method", losses: [data.losses[a], data.losses[b]] }];
    });
    if (!values.length) return stage.replaceChildren(el("p", { class: "soft" }, "No method has a value of both."));
    const rivals = values.filter((v) => v.kind === "method");
    const beats = (p, q) => p.losses.every((v, i) => v <= q.losses[i]) && p.losses.some((v, i) => v < q.losses[i]);
    rivals.filter((v) => !rivals.some((other) => beats(other, v))).forEach((v) => { v.kind = "on the Pareto front"; });
    const scale = { zero: false, nice: true };
    const kinds = ["on the Pareto front", "method", "floor", "trap", "ceiling"];
    const legend = { orient: "bottom", direction: "horizontal", title: null, symbolOpacity: 1 };
    const said = (name, c) => ({ field: name, type: "quantitative", title: line(c.metric), format: ".4~g" });
    // Vega-Lite writes titles into expressions, whose parser takes no line separators.
    const line = (text) => text.replaceAll(/[\u0000-\u001f\u2028\u2029]+/g, " ");
    const title = (c) => line([c.header, c.unit ? `(${c.unit})` : ""].join(" ").trim());
    const layer = [
      { transform: [{ filter: "isValid(datum.low)" }], mark: { type: "rule", opacity: 0.45 },
        encoding: { y: { field: "low", type: "quantitative", scale }, y2: { field: "high" } } },
      { mark: { type: "point", filled: true, size: 90, opacity: 1 }, encoding: {
        y: { field: "y", type: "quantitative", title: title(y), scale },
        shape: { field: "kind", type: "nominal", scale: { domain: kinds, range: ["diamond", "circle", "square", "cross", "triangle-up"] }, legend },
        tooltip: [{ field: "name", title: "method" }, said("y", y), said("x", x)] } },
    ];
    if (values.length <= 40) layer.push({ transform: [{ filter: "datum.kind !== 'method'" }], mark: { type: "text", align: "left", dx: 8, dy: -6, fontSize: 11 },
      encoding: { y: { field: "y", type: "quantitative" }, text: { field: "name" } } });
    const spec = { height: 330, width: Math.max(260, Math.min(980, stage.clientWidth - 120)), data: { values }, layer, encoding: {
      x: { field: "x", type: "quantitative", title: title(x), scale: { zero: true, nice: true }, axis: { tickCount: 8 } },
      color: { field: "kind", type: "nominal", legend, scale: { domain: kinds,
        range: ["#2a9d63", "#3b76d6", "#9aa0a9", "#d1762b", "#8a63c9"] } } } };
    const drawn = await plot(spec);
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", `${title(y)} against ${title(x)}; the numbers are in the table above`);
    stage.replaceChildren(drawn);
  };
  const bar = el("div", { class: "bar" },
    pick("Quality", others.map(([c, i]) => [i, c.header]), (v) => { chosen.y = Number(v); draw(); }),
    pick("against cost", costs.map(([c, i]) => [i, c.header]), (v) => { chosen.x = Number(v); draw(); }));
  bar.querySelectorAll("select")[0].value = chosen.y;
  bar.querySelectorAll("select")[1].value = chosen.x;
  whenSeen(stage, draw);
  return el("section", {}, el("h3", {}, "Quality against cost"), bar, stage);
}

function whenSeen(node, act) {
  const watch = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) { watch.disconnect(); act(); }
  }, { rootMargin: "200px" });
  watch.observe(node);
}

// ---- tables
let DataTable;
async function tables() {
  if (DataTable) return;
  ({ default: DataTable } = await library("tables"));
  // What has no value stays last, whichever way a column is sorted.
  const order = (sign) => (a, b) => (a === null) - (b === null) || sign * (a < b ? -1 : a > b ? 1 : 0);
  DataTable.ext.type.order["known-asc"] = order(1);
  DataTable.ext.type.order["known-desc"] = order(-1);
  DataTable.ext.errMode = "throw";
}

function table(heads, rows, columns, options = {}) {
  const node = el("table", {}, el("thead", {}, el("tr", {}, heads)));
  const wide = el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": options.label }, node);
  const holder = el("div", {}, wide);
  const long = rows.length > 50;
  const made = new DataTable(node, { data: rows, columns, autoWidth: false, paging: long, pageLength: 50, lengthChange: false,
    searching: true, info: long, language: { emptyTable: "nothing here", zeroRecords: "nothing matches" },
    layout: { topStart: null, topEnd: null, bottomStart: long ? "info" : null, bottomEnd: long ? "paging" : null },
    ...options.table });
  // DataTables tells screen readers the direction of its first order, which keeps the anchors apart: tell the visible one.
  const told = () => node.querySelectorAll("thead th").forEach((head) => {
    const way = ["asc", "desc"].find((one) => head.classList.contains(`dt-ordering-${one}`));
    way ? head.setAttribute("aria-sort", `${way}ending`) : head.removeAttribute("aria-sort");
  });
  made.on("draw", told);
  // DataTables wraps the table in its layout; only the table scrolls sideways.
  const container = made.table().container();
  holder.replaceChildren(container);
  node.parentNode.insertBefore(wide, node);
  wide.append(node);
  return { holder, made };
}

function leaderboard(board) {
  let share = false;
  // A column is sorted by its values, best first at the first press; one with a target by the distance from it.
  const directions = board.columns.map((_, i) => {
    const row = board.lines.map((line) => line.cells[i][3]).find((found) => found !== null);
    return row === undefined ? "lower" : field(row, "direction");
  });
  const value = (cell, i) => (cell[3] === null ? null : directions[i].startsWith("target") ? data.losses[cell[3]] : field(cell[3], "value"));
  const cellNode = (line, i) => {
    const [text, mark, note, row] = line.cells[i];
    const shown = share && board.columns[i].panel !== "cost" && row !== null && field(row, "span") !== null ? percent(field(row, "span")) : text;
    if (row === null) return el("span", {}, "—", note ? el("sup", {}, `[${note}]`) : null);
    const said = `${board.columns[i].header} of ${line.name}: ${shown}${mark ? `, ${mark === "best" ? "best" : "second best"}` : ""}; details`;
    return el("button", { type: "button", class: `cell ${mark}`, "aria-label": said, title: `95 % interval ${interval(row)}`, onclick: () => detail(row) },
      shown, note ? el("sup", {}, `[${note}]`) : null);
  };
  const ranked = board.lines.some((line) => line.rank);
  const heads = [el("th", { class: "text" }, "method"), el("th", {}, "anchor")];
  const columns = [
    { className: "text", render: (_, type, line) => type !== "display" ? escaped(`${line.name} ${line.anchor}`.trim()) : el("span", { title: line.name }, line.name, " ", line.anchor ? el("span", { class: "badge" }, line.anchor) : null) },
    { visible: false, type: "num", render: (_, type, line) => (line.anchor ? 1 : 0) },
  ];
  if (ranked) {
    heads.push(el("th", { title: `By ${board.order}: between those shown to be better and those shown to be worse` }, "rank"));
    columns.push({ type: "known", searchable: false, render: (_, type, line) => type === "display" ? line.rank : line.rank ? parseInt(line.rank, 10) : null });
  }
  const start = columns.length;
  board.columns.forEach((column, i) => {
    const title = [column.fingerprint, column.said].filter(Boolean).join("\n");
    heads.push(el("th", { title, class: column.grade === "failed" ? "warn" : null }, column.header, el("small", {}, column.unit)));
    columns.push({ type: "known", searchable: false, orderSequence: directions[i] === "higher" ? ["desc", "asc", ""] : ["asc", "desc", ""],
      render: (_, type, line) => type === "display" ? cellNode(line, i) : type === "filter" ? "" : value(line.cells[i], i) });
  });
  const { holder, made } = table(heads, board.lines, columns, { label: `Leaderboard ${board.title}`, table: {
    order: [], orderFixed: { pre: [[1, "asc"]] },
    createdRow: (tr, line) => line.anchor && tr.classList.add("anchor"),
  } });
  const show = (which) => {
    board.columns.forEach((column, i) => made.column(start + i).visible(which === "all" || (which === "first" ? column.first : column.panel === which), false));
    made.columns.adjust().draw(false);
  };
  const panels = [...new Set(board.columns.map((column) => column.panel))];
  const search = el("input", { type: "search", placeholder: "Filter methods", "aria-label": `Filter the methods of ${board.title}`, oninput: () => made.search(search.value).draw() });
  const shares = el("button", { type: "button", "aria-pressed": "false", onclick: () => {
    share = !share;
    shares.setAttribute("aria-pressed", String(share));
    made.rows().invalidate("data").draw(false);
  } }, "Share of the way from floor to ceiling");
  shares.hidden = !board.lines.some((line) => line.cells.some((cell) => cell[3] !== null && field(cell[3], "span") !== null));
  const bar = el("div", { class: "bar" }, search,
    pick("Columns", [["first", "main figures"], ...panels.map((panel) => [panel, panel]), ["all", "all"]], show), shares);
  show("first");
  return el("div", {}, bar, holder);
}

// ---- where a number comes from
function detail(row) {
  const board = boardOf.get(row);
  const column = board?.columns.find((_, i) => board.lines.some((line) => line.cells[i][3] === row));
  const unit = field(row, "unit") ? ` ${field(row, "unit")}` : "";
  const protocol = settings(board?.protocol ?? {});
  const facts = [
    ["value", field(row, "value") === null ? `none: ${field(row, "reason")}` : `${field(row, "value")}${unit}`],
    ["95 % interval", `${interval(row)} (over items, skewness allowed for)`],
    ["items, seeds", `${field(row, "n_items")} items, ${field(row, "n_seeds")} ${field(row, "n_seeds") === 1 ? "seed" : "seeds"} each`],
    ["coverage", percent(field(row, "coverage"))],
    ["floor to ceiling", percent(field(row, "span"))],
    ["rank", field(row, "rank_low") === null ? "—" : `${field(row, "rank_low")} to ${field(row, "rank_high")}, by the paired differences`],
    ["method", `${field(row, "method")}, version ${field(row, "method_version")}, ${field(row, "door")}${field(row, "anchor") ? `, ${field(row, "anchor")}` : ""}`],
    ["model", `${field(row, "model")}, weights ${field(row, "revision")}`],
    ["data set", `${field(row, "dataset")}, version ${field(row, "dataset_version")}`],
    ["protocol", protocol],
    ["metric", `${field(row, "metric")}, version ${field(row, "metric_version")}, ${field(row, "direction")}`],
    ["fingerprint", field(row, "fingerprint")],
    ["report card", column?.said || "none: a cost"],
    ["calibration", (column?.calibrated ?? []).map((text) => `It ${text}.`).join(" ")],
    ["note", field(row, "value") === null ? "" : field(row, "reason") ?? ""],
    ["failed jobs", String(field(row, "failed"))],
  ].filter(([, text]) => text !== "");
  const values = (data.values[row] ?? []).map((v, i) => [board.items[i], v]);
  const most = Math.max(...values.map(([, v]) => Math.abs(v ?? 0)), 1e-300);
  const shown = board?.gallery?.items ?? [];
  const bars = values.map(([item, v]) => [
    shown.includes(item) ? el("a", { href: `#${board.family}`, onclick: (event) => { event.preventDefault(); byId("detail").close(); look(board, item); } }, item) : el("span", {}, item),
    el("i", { style: `width:${(100 * Math.abs(v ?? 0)) / most}%` }),
    el("span", {}, number(v)),
  ]);
  const close = el("button", { type: "button", onclick: () => byId("detail").close() }, "Close");
  byId("detail").replaceChildren(
    el("div", { class: "dialog-head" }, el("h2", { id: "detail-title" }, `${field(row, "metric")} of ${field(row, "method")}`), close),
    el("dl", {}, facts.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])),
    el("h3", {}, "By item (seeds averaged)"), el("div", { class: "bars" }, bars.flat()));
  byId("detail").showModal();
  close.focus();
}

// ---- galleries
const galleries = new Map();
function look(board, item) {
  galleries.get(board)?.(item);
}

function media(picture, label) {
  if (!picture || picture.kind === "none") return el("div", { class: "absent" }, picture ? picture.why : "not run");
  if (picture.kind === "clip")
    return el("video", { class: "media", src: picture.src, loop: true, muted: true, playsinline: true, autoplay: !calm, controls: true, "aria-label": `Clip of ${label}` });
  const [wide, high] = picture.size;
  return el("img", { class: `media ${wide < 300 ? "crisp" : ""}`, src: picture.src, alt: `Sample of ${label}`, width: wide, height: high, loading: "lazy" });
}

function gallery(board) {
  const kept = board.gallery;
  if (!kept || !kept.items.length) return null;
  const names = board.lines.map((line) => line.sample);
  const rank = (label) => (label === kept.input ? -1 : (names.indexOf(label) + 1 || names.length + 1));
  const state = { item: kept.items[0], mode: "all", a: null, b: null };
  const stage = el("div");
  const prompt = el("p", { class: "soft" });
  const labels = () => Object.keys(kept.pictures[state.item]).sort((x, y) => rank(x) - rank(y));
  const first = labels().filter((label) => label !== kept.input);
  [state.a, state.b] = [first.find((l) => l.startsWith("independent")) ?? first[0], first.find((l) => !l.startsWith("independent")) ?? first.at(-1)];
  const draw = () => {
    prompt.textContent = kept.prompts[state.item];
    const of = kept.pictures[state.item];
    for (const one of opened.splice(0)) one.close();
    const framed = (label) => el("figure", {}, solidMedia(kept, state.item, label), el("figcaption", {}, label));
    pair.hidden = state.mode === "all";
    if (state.mode === "all") stage.replaceChildren(el("div", { class: "grid" }, labels().map(framed)));
    else if (state.mode === "side") {
      const tall = (of[state.a]?.size?.[0] ?? 1) > 1.8 * (of[state.a]?.size?.[1] ?? 1);
      stage.replaceChildren(el("div", { class: `pair ${tall ? "tall" : ""}` }, framed(state.a), framed(state.b)));
    } else stage.replaceChildren(swipe(of, state.a, state.b));
    const clips = [...stage.querySelectorAll("video")];
    clips.forEach((clip) => { clip.muted = true; if (!calm) clip.play().catch(() => {}); });
    pause.hidden = !clips.length;
  };
  const item = pick("Item", kept.items.map((id) => [id, id]), (v) => { state.item = v; refill(); draw(); });
  const a = pick("A", [], (v) => { state.a = v; draw(); });
  const b = pick("B", [], (v) => { state.b = v; draw(); });
  const pair = el("span", { class: "bar" }, a, b);
  const several = first.length > 1; // with one method there is nothing to compare
  const pause = el("button", { type: "button", onclick: () => {
    const clips = [...stage.querySelectorAll("video")];
    const still = clips.every((clip) => clip.paused);
    // all at the same moment, so that frames can be compared
    clips.forEach((clip) => { clip.currentTime = clips[0].currentTime; still ? clip.play() : clip.pause(); });
  } }, "Play or pause all");
  const refill = () => [[a, "a"], [b, "b"]].forEach(([label, key]) => {
    const select = label.querySelector("select");
    select.replaceChildren(...labels().map((name) => el("option", { value: name }, name)));
    select.value = state[key];
  });
  const modes = pick("Show", [["all", "all methods"], ...(several ? [["side", "two side by side"], ["swipe", "swipe between two"]] : [])], (v) => { state.mode = v; draw(); });
  refill();
  whenSeen(stage, draw);
  const section = el("section", { class: "gallery" }, el("h3", {}, "Samples"), el("div", { class: "bar" }, item, modes, pair, pause), prompt, stage);
  galleries.set(board, (id) => {
    state.item = id;
    item.querySelector("select").value = id;
    refill(); draw();
    section.scrollIntoView({ behavior: calm ? "auto" : "smooth" });
  });
  return section;
}

// ---- samples on given meshes, in 3-D: dragged or turned with the arrow keys, nearer and farther with the wheel or + and -
const opened = []; // browsers allow few WebGL pages at once: the oldest is closed
async function turn(shape, picture, label, spot, back) {
  await library("solids");
  const three = globalThis.THREE;
  const numbers = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const geometry = new three.BufferGeometry();
  geometry.setAttribute("position", new three.BufferAttribute(numbers(shape.places, Float32Array), 3));
  geometry.setAttribute("uv", new three.BufferAttribute(numbers(shape.uv, Float32Array), 2));
  geometry.setIndex(new three.BufferAttribute(numbers(shape.faces, Uint32Array), 1));
  geometry.center();
  geometry.computeBoundingSphere();
  const map = await new three.TextureLoader().loadAsync(picture.texture);
  if (!spot.isConnected) { map.dispose(); geometry.dispose(); return; } // another page was opened in the meantime
  const renderer = new three.WebGLRenderer({ antialias: true, alpha: true, preserveDrawingBuffer: true });
  const mesh = new three.Mesh(geometry, new three.MeshBasicMaterial({ map, side: three.DoubleSide }));
  const scene = new three.Scene();
  scene.add(mesh);
  const camera = new three.PerspectiveCamera(30, 1, 0.01, 100);
  const far = 1.08 * geometry.boundingSphere.radius / Math.sin(Math.PI / 12);
  const view = { across: 0.5, up: 0.3, far };
  const canvas = renderer.domElement;
  const draw = () => {
    const side = Math.max(64, Math.min(spot.clientWidth, 640));
    renderer.setPixelRatio(devicePixelRatio);
    renderer.setSize(side, side);
    camera.position.set(view.far * Math.cos(view.up) * Math.sin(view.across), view.far * Math.sin(view.up), view.far * Math.cos(view.up) * Math.cos(view.across));
    camera.lookAt(0, 0, 0);
    renderer.render(scene, camera);
  };
  const move = (across, up, times = 1) => {
    view.across += across;
    view.up = Math.max(-1.55, Math.min(1.55, view.up + up));
    view.far = Math.max(far / 4, Math.min(far * 4, view.far * times));
    draw();
  };
  const keys = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15], "+": [0, 0, 0.9], "-": [0, 0, 1.1] };
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) move(-event.movementX / 120, event.movementY / 120); });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); move(0, 0, Math.exp(event.deltaY / 900)); }, { passive: false });
  canvas.addEventListener("keydown", (event) => { if (keys[event.key]) { event.preventDefault(); move(...keys[event.key]); } });
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Textured mesh of ${label}. Arrow keys turn it, plus and minus bring it nearer and farther.`);
  canvas.className = "solid";
  spot.replaceChildren(canvas);
  draw();
  const close = () => { map.dispose(); geometry.dispose(); renderer.dispose(); renderer.forceContextLoss(); };
  opened.push({ close, spot, back });
}

function solidMedia(kept, item, label) {
  const picture = kept.pictures[item][label];
  const shape = kept.shapes?.[item];
  const flat = media(picture, label);
  if (!shape || !picture?.texture) return [flat];
  const spot = el("div", {}, flat);
  const button = el("button", { type: "button", class: "turn", "aria-pressed": "false", onclick: async () => {
    const here = opened.findIndex((one) => one.spot === spot);
    if (here >= 0) { // back to the picture
      opened.splice(here, 1)[0].close();
      spot.replaceChildren(flat);
    } else try {
      button.disabled = true; // a second click would make a second renderer
      if (opened.length >= 8) { const [oldest] = opened.splice(0, 1); oldest.close(); oldest.back(); }
      await turn(shape, picture, label, spot, () => { spot.replaceChildren(flat); mark(false); });
    } catch (error) { spot.replaceChildren(el("div", { class: "absent" }, `no 3-D here: ${error.message}`)); }
    finally { button.disabled = false; }
    mark(opened.some((one) => one.spot === spot));
  } }, "Turn in 3-D");
  const mark = (on) => { button.setAttribute("aria-pressed", String(on)); button.textContent = on ? "Back to the views" : "Turn in 3-D"; };
  return [spot, button];
}

function swipe(of, a, b) {
  const under = media(of[a], a);
  const over = media(of[b], b);
  over.classList.add("over");
  over.style.height = "100%";
  for (const clip of [under, over]) clip.removeAttribute("controls");
  if (under.tagName === "VIDEO" && over.tagName === "VIDEO")
    under.addEventListener("timeupdate", () => { if (Math.abs(over.currentTime - under.currentTime) > 0.15) over.currentTime = under.currentTime; });
  const box = el("div", { class: "swipe" }, under, over);
  const range = el("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": `Left of the line ${a}, right of it ${b}`, oninput: () => box.style.setProperty("--cut", `${range.value}%`) });
  box.append(range);
  return el("div", {}, box, el("div", { class: "ends soft" }, el("span", {}, `left: ${a}`), el("span", {}, `right: ${b}`)));
}

// ---- the tabs' contents
function family(id) {
  return data.boards.filter((board) => board.family === id).map((board) => el("section", {},
    el("h2", {}, board.title), el("p", { class: "soft" }, board.subtitle), leaderboard(board),
    el("p", { class: "soft" }, el("span", { class: "best" }, "Bold"), ": best; ", el("span", { class: "second" }, "underlined"),
      ": second best; what is not separable at 95 % (paired by item) is marked alike. A number tells where it comes from: press it."),
    el("ol", { class: "notes", "aria-label": "Footnotes" }, board.notes.map((note) => el("li", {}, note))),
    el("ul", { class: "notes" }, board.remarks.map((remark) => el("li", {}, remark))),
    board.differences.length ? differences(board) : null, scatter(board), gallery(board)));
}

function differences(board) {
  const holder = el("div");
  const node = el("details", { ontoggle: () => {
    if (holder.childNodes.length) return;
    const heads = data.heads.map((name) => el("th", { class: "text" }, name));
    const columns = data.heads.map((_, i) => ({ className: "text", render: (__, type, row) => (type === "display" ? el("span", {}, row[i]) : escaped(row[i])) }));
    const { holder: made } = table(heads, board.differences, columns, { label: `Paired differences ${board.title}`, table: { order: [] } });
    holder.append(made);
  } }, el("summary", {}, `Paired differences (${board.differences.length})`), holder);
  return node;
}

function everything() {
  const names = ["method", "metric", "family", "dataset", "model", "protocol", "value", "ci_low", "ci_high", "n_items", "n_seeds", "coverage", "span", "fingerprint", "reason"];
  const words = new Set(["family", "dataset", "model", "protocol", "method", "metric", "fingerprint", "reason"]);
  const order = data.rows.map((_, i) => i);
  const heads = names.map((name) => el("th", { class: words.has(name) ? "text" : null }, name));
  const columns = names.map((name) => ({ className: words.has(name) ? "text" : "", type: words.has(name) ? "string" : "known", searchable: words.has(name), name,
    render: (_, type, row) => {
      const v = field(row, name);
      if (type !== "display") return words.has(name) ? escaped(v ?? "") : v;
      if (name === "value") return el("button", { type: "button", class: "cell", title: "where it comes from", onclick: () => detail(row) }, number(v));
      if (name === "protocol") return el("span", {}, settings(JSON.parse(v)));
      return el("span", {}, words.has(name) ? v ?? "" : number(v));
    } }));
  const { holder, made } = table(heads, order, columns, { label: "All rows", table: { order: [] } });
  const exact = (name) => pick(name, [["", "all"], ...[...new Set(data.rows.map((row) => row[place[name]]))].sort().map((v) => [v, v])], (v) =>
    made.column(`${name}:name`).search(v ? (text) => text === v : "").draw());
  const search = el("input", { type: "search", placeholder: "Filter rows", "aria-label": "Filter the rows", oninput: () => made.search(search.value).draw() });
  return [el("h2", {}, "All rows"), el("p", { class: "soft" }, `One row a method and metric: ${data.rows.length} in all. The buttons at the top download them exactly.`),
    el("div", { class: "bar" }, search, exact("family"), exact("dataset"), exact("metric")), holder];
}

function metrics() {
  const said = { true: "kept", false: "BROKEN", null: "not asked" };
  const cards = data.cards.map((card) => {
    const ladders = el("div");
    const broken = card.checks.filter((check) => check.passed === false);
    const notices = card.checks.find((check) => check.name === "notices")?.seen;
    const verdict = broken.length ? "fails" : card.ladders.length ? "passes" : "no answer";
    return el("details", { class: "card", ontoggle: async (event) => {
      if (!event.target.open || ladders.childNodes.length || !card.ladders.length) return;
      const most = Math.max(...card.ladders.flatMap((x) => x.rungs.map((r) => Math.abs(r.change)))) || 1;
      const values = card.ladders.flatMap((x) => [{ corruption: x.corruption, told: x.told, rung: 0, share: 0 },
        ...x.rungs.map((r, i) => ({ corruption: x.corruption, told: x.told, rung: i + 1, share: r.change / most }))]);
      ladders.append(await plot({ data: { values }, columns: innerWidth < 640 ? 2 : 7, facet: { field: "corruption", type: "nominal", title: null }, spec: { width: 90, height: 60,
        mark: { type: "line", point: true }, encoding: { x: { field: "rung", type: "quantitative", title: null, axis: { tickCount: 3 } },
          y: { field: "share", type: "quantitative", title: null, scale: { domain: [-1, 1], clamp: true } },
          color: { field: "told", type: "nominal", title: null, scale: { domain: ["notices", "uneven", "blind", "rewards"], range: ["#2a9d63", "#6f9fd8", "#9aa0a9", "#d14b4b"] } } } } }));
    } }, el("summary", {}, `${card.metric} (${card.family}) `, el("span", { class: broken.length ? "fail" : "pass" }, broken.length ? `⚠ ${verdict}` : verdict),
      notices ? el("div", { class: "soft" }, `notices ${notices}`) : null),
    el("p", { class: "soft" }, `${card.role}; version ${card.version}; ${card.fingerprint}`),
    el("dl", {}, card.checks.flatMap((check) => [el("dt", {}, check.name), el("dd", { class: check.passed === false ? "fail" : null }, `${said[check.passed]}: ${check.seen}`)])),
    ...(card.calibrations ?? []).map((one) => el("p", {}, `Over ${one.over}, against ${one.exact}: ${one.spearman === null ? one.reason
      : `Spearman ${number(one.spearman)} (${number(one.low)} to ${number(one.high)}), ${one.items} items; ${one.bias === null ? "no bias: the units differ" : `bias ${number(one.bias)} ${one.unit}`}; tells ${one.tells === null ? "no difference for sure" : `differences from ${number(one.tells)} ${one.unit}`} (${one.told} of ${one.pairs} pairs, ${one.wrong} wrongly)`}.`)),
    card.ladders.length ? el("p", { class: "soft" }, "Loss along ladders of damage, as a share of its largest change:") : null, ladders);
  });
  const unknown = [...new Set(data.boards.flatMap((board) => board.columns.filter((c) => c.grade === "unknown").map((c) => `${c.metric} (${board.family}): ${c.said}`)))];
  return [el("h2", {}, "Report cards of the metrics"), el("p", { class: "soft" },
    "Every metric was held against controlled damage to scenes whose truth is known: does it notice what it should, is what it rewards noticed by another metric, does it repeat itself, is it silent where nothing is comparable?"),
    unknown.length ? el("p", { class: "soft" }, `Without a card: ${unknown.join("; ")}.`) : null, ...cards];
}

function methods() {
  return [el("h2", {}, "Methods"), el("div", { class: "cards" }, data.methods.map((one) => {
    const paper = !one.paper ? null : /^\d{4}\.\d{4,5}/.test(one.paper) ? ["arXiv " + one.paper, "https://arxiv.org/abs/" + one.paper] : ["doi " + one.paper, "https://doi.org/" + one.paper];
    const measured = (metric) => data.rows.map((_, i) => i).filter((i) => one.labels.includes(field(i, "method")) && field(i, "metric").split("[")[0] === metric && field(i, "value") !== null)
      .map((i) => [`${number(field(i, "value"))} ${field(i, "unit")}`.trim(), field(i, "method").slice(one.id.length), `on ${field(i, "dataset")}, ${field(i, "model")}, ${settings(boardOf.get(i)?.protocol ?? {})}`].filter(Boolean).join(" "));
    const sources = [...new Set((one.reported ?? []).map((r) => `${r.source}: ${r.setting}`))];
    const facts = [["in this run", one.labels.join(", ")], ["family", one.family], ["door", one.door], ["version", one.version],
      ["presets", one.presets?.join(", ")], ["upstream licence", one.licence], ["from", one.source]].filter(([, v]) => v !== null && v !== undefined && v !== "");
    return el("article", { class: "card" }, el("h3", {}, one.title ?? one.id),
      paper ? el("p", {}, el("a", { href: encodeURI(paper[1]), rel: "noreferrer" }, paper[0])) : null,
      el("dl", {}, facts.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, String(v))])),
      one.reported?.length ? el("table", {}, el("thead", {}, el("tr", {}, ["metric", "reported", "measured here"].map((h) => el("th", {}, h)))),
        el("tbody", {}, one.reported.map((r) => el("tr", {}, el("td", {}, r.metric), el("td", {}, r.value),
          el("td", {}, measured(r.metric).map((text) => el("div", {}, text)))))))  : null,
      one.reported?.length ? el("p", { class: "soft" }, `Reported: ${sources.join("; ")}. Networks, sizes and backbones differ: read down a column, not across.`) : null,
      one.doc ? el("details", {}, el("summary", {}, "About"), el("p", { class: "soft" }, one.doc.split("\n\n").slice(1).join("\n\n").replaceAll(/(?<!\n)\n(?!\n)/g, " "))) : null);
  }))];
}

function reading() {
  const said = [
    ["Anchors stand apart.", "independent samples every view alone: the floor. A trap is perfectly consistent and worthless: a metric it wins needs a guard beside it. truth is the known answer: the ceiling."],
    ["Consistency never stands alone.", "A grey image is consistent. Read quality, variety, text and cost beside it."],
    ["± is half a 95 % interval over items", "(Student's t, widened where items are skewed; seeds are averaged within their item first). It says how sure a mean is. Whether two methods differ is in the paired differences: same items, same seeds, same initial noise, intervals that hold together for all pairs of methods."],
    ["Not separable", "means that no difference was found, and says which one would have been, 4 times in 5."],
    ["— is not zero.", "Nothing comparable gives no value; the footnote says why."],
    ["Only like is compared.", "Metric version, backbone, weights and protocol are part of a column; unlike ones have columns of their own."],
    ["⚠ marks a metric whose report card fails;", "the tab Metrics says how."],
    ["≈ marks an estimate of another metric;", "the tab Metrics says how well it ranks."],
    ["Share of the way", "puts the floor at 0 % and the ceiling at 100 %; a trap can lie beyond both."],
  ];
  return [el("h2", {}, "How to read this"), el("ul", {}, said.map(([a, b]) => el("li", {}, el("strong", {}, a), " ", b)))];
}

// ---- tabs
const some = data.families.filter((f) => data.boards.some((board) => board.family === f.id));
const sheets = [
  ...some.map((f) => [f.id, f.id, f.about, () => family(f.id)]),
  ...(data.rows.length ? [["rows", "All rows", "", everything], ["metrics", "Metrics", "", metrics], ["methods", "Methods", "", methods]] : []),
  ["reading", "How to read", "", reading],
];
const panels = new Map(sheets.map(([id]) => [id, el("div", { role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}`, hidden: true })]));
const ready = new Set();
async function open(id, focus = false) {
  const sheet = sheets.find(([name]) => name === id) ?? sheets[0];
  for (const tab of byId("tabs").children) {
    const here = tab.id === `tab-${sheet[0]}`;
    tab.setAttribute("aria-selected", String(here));
    tab.tabIndex = here ? 0 : -1;
    if (here && focus) tab.focus();
    if (here) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  for (const [name, panel] of panels) panel.hidden = name !== sheet[0];
  if (ready.has(sheet[0])) return;
  ready.add(sheet[0]);
  await tables();
  panels.get(sheet[0]).append(...sheet[3]().filter(Boolean));
}
byId("main").append(...panels.values());
byId("tabs").append(...sheets.map(([id, text, about]) => el("button", { type: "button", role: "tab", id: `tab-${id}`, title: about, "aria-controls": `panel-${id}`,
  onclick: () => { location.replace(`#${id}`); } }, text)));
byId("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
  if (!step) return;
  event.preventDefault();
  const at = sheets.findIndex(([id]) => byId(`tab-${id}`).getAttribute("aria-selected") === "true");
  const to = Number.isFinite(step) ? (at + step + sheets.length) % sheets.length : step < 0 ? 0 : sheets.length - 1;
  location.replace(`#${sheets[to][0]}`);
  open(sheets[to][0], true);
});
addEventListener("hashchange", () => { if (panels.has(location.hash.slice(1))) open(location.hash.slice(1)); });
byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });

paint();
byId("about").textContent = data.sources.map((s) => s.suite ? `${s.name}: suite ${s.suite}, ${s.jobs} jobs` : s.name).join("; ");
byId("foot").textContent = [`syncbench ${data.version}`, ...data.sources.filter((s) => s.versions && Object.keys(s.versions).length)
  .map((s) => `first job of ${s.name}: ${s.device}, ${Object.entries(s.versions).map(([k, v]) => `${k} ${v}`).join(", ")}`)].join("; ")
  + ". Tables by DataTables (MIT), plots by Vega-Lite (BSD-3-Clause), both inside this file; it loads nothing from anywhere.";
for (const id of ["csv", "json"]) byId(id).hidden = !data.rows.length;
await open(location.hash.slice(1));
if (data.boards.length) byId("wait").remove();
document.documentElement.dataset.ready = "yes";
