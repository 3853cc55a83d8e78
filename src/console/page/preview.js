// One message as each channel would carry it: what people see, what was downgraded and why, the exact requests.

import { call, el } from "./api.js";

const KINDS = {
  "Text with markup": (text) => [{ type: "text", text, format: "markdown" }],
  "Two buttons": (text) => [{ type: "choices", text, options: [{ id: "yes", title: "Yes" }, { id: "move", title: "Another time" }] }],
  "Quick replies": (text) => [{ type: "choices", text, layout: "quick_replies", options: ["Morning", "Noon", "Evening"].map((t) => ({ id: t.toLowerCase(), title: t })) }],
  "A list of six": (text) => [{ type: "choices", text, layout: "list", menu_label: "Times", options: [9, 10, 11, 14, 15, 16].map((h) => ({ id: `t${h}`, title: `${h}:00`, section: h < 12 ? "Morning" : "Afternoon" })) }],
  "A picture": (text) => [{ type: "image", media: { url: "https://example.org/menu.png" }, caption: text }],
  "Cards side by side": (text) => [{ type: "carousel", text, cards: ["Blue", "Green"].map((c) => ({ title: `${c} shoes`, text: "49.00 EUR", options: [{ id: c, title: "Take these" }] })) }],
  "A place": (text) => [{ type: "location", latitude: 52.52, longitude: 13.405, name: text.slice(0, 60) }],
};

function column(preview, name) {
  const shown = preview.shown.map((text) => el("div", { class: "bubble" }, text));
  const downgrades = preview.downgrades.map((d) => el("div", { class: "note wait" }, `${d.from} became ${d.into}: ${d.why}`));
  const blocker = preview.blocker ? el("div", { class: "note bad" }, preview.blocker.detail) : null;
  const fine = !preview.blocker && !preview.downgrades.length ? el("div", { class: "note good" }, "As it was meant") : null;
  const cost = preview.cost_units > 1 ? el("p", { class: "dim" }, `Costs ${preview.cost_units} units`) : null;
  const requests = preview.requests.length
    ? el("details", {}, el("summary", {}, `${preview.requests.length === 1 ? "The request" : `${preview.requests.length} requests`}`), el("pre", { tabindex: "0" }, JSON.stringify(preview.requests, null, 2)))
    : null;
  return el("div", { class: "card" }, el("h3", {}, name, " ", el("span", { class: "meta" }, preview.channel)), shown, fine, downgrades, blocker, cost, requests);
}

export function preview(channels) {
  const panel = document.getElementById("preview-panel");
  const text = el("textarea", { id: "preview-text" });
  text.value = "Your table is at 20:00. Still coming?";
  const kind = el("select", { id: "preview-kind" }, Object.keys(KINDS).map((k) => el("option", { value: k }, k)));
  kind.value = "Two buttons";
  const grid = el("div", { class: "grid", "aria-live": "polite" });
  const names = new Map(channels.map((c) => [c.id, c.name]));
  let turn = 0;
  const draw = async () => {
    const mine = (turn += 1);
    const wanted = { to: "preview:1", channels: [...names.keys()], parts: KINDS[kind.value](text.value || " ") };
    try {
      const { data } = await call("POST", "/v1/messages/preview", wanted);
      if (mine === turn) grid.replaceChildren(...data.map((p) => column(p, names.get(p.channel))));
    } catch (error) {
      if (mine === turn) grid.replaceChildren(el("div", { class: "note bad" }, error.message));
    }
  };
  let soon;
  text.addEventListener("input", () => (clearTimeout(soon), (soon = setTimeout(draw, 250))));
  kind.addEventListener("change", draw);
  panel.append(el("div", { class: "form" },
    el("label", { for: "preview-text" }, "One message"), text, el("label", { for: "preview-kind" }, "As"), kind), grid);
  return draw;
}
