// Elements without markup in strings: a page's strict content policy stays whole, and no text becomes code.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in PROPERTIES) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(9).filter((c) => c != null && c !== false));
  return node;
}

const PROPERTIES = { textContent: 1, value: 1, disabled: 1, hidden: 1, htmlFor: 1, className: 1 };

const SVG = "http://www.w3.org/2000/svg";

export function icon(path, size = 20) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor", "aria-hidden": "true" };
  for (const [name, value] of Object.entries({ ...attributes, "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round" })) {
    svg.setAttribute(name, value);
  }
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

export const ICONS = {
  chat: "M21 12a8 8 0 0 1-8 8H4l2.2-3A8 8 0 1 1 21 12Z",
  close: "M6 6l12 12M18 6L6 18",
  send: "M12 19V5M5 12l7-7 7 7",
  clip: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.4 3.4 0 0 1 4.8 4.8l-8.4 8.4a1.7 1.7 0 0 1-2.4-2.4L14.5 7",
  file: "M14 3H6v18h12V7zM14 3v4h4",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  pin: "M12 21s7-6.5 7-12a7 7 0 0 0-14 0c0 5.5 7 12 7 12ZM12 11.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
};

const SAFE = /^(https?:|mailto:|tel:)/i;

export const safeUrl = (url, base) => {
  try {
    const whole = new URL(url, base);
    return SAFE.test(whole.protocol) ? whole.href : null;
  } catch {
    return null;
  }
};

export const link = (href, ...children) => el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);

const WEB = /\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g;

// Plain words; what looks like a web address can be followed.
export function plain(text) {
  const out = document.createDocumentFragment();
  let at = 0;
  for (const found of text.matchAll(WEB)) {
    out.append(text.slice(at, found.index), link(found[0], found[0]));
    at = found.index + found[0].length;
  }
  out.append(text.slice(at));
  return out;
}

const TAGS = new Set(["B", "STRONG", "I", "EM", "S", "DEL", "U", "CODE", "PRE", "BLOCKQUOTE", "BR", "P", "UL", "OL", "LI"]);
const NEVER = new Set(["SCRIPT", "STYLE", "TEMPLATE", "IFRAME", "OBJECT", "EMBED", "SVG", "MATH", "NOSCRIPT", "HEAD"]);

// Marked-up words, rebuilt from the few tags that are known. Parsed in a document that runs and loads nothing.
export function rich(html) {
  const source = new DOMParser().parseFromString(html, "text/html").body;
  const out = document.createDocumentFragment();
  const copy = (from, into) => {
    for (const node of from.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) into.append(node.data);
      if (node.nodeType !== Node.ELEMENT_NODE || NEVER.has(node.tagName.toUpperCase())) continue;
      let target = into;
      if (TAGS.has(node.tagName)) into.append((target = document.createElement(node.tagName)));
      const href = node.tagName === "A" && safeUrl(node.getAttribute("href") ?? "", "about:blank");
      if (href) into.append((target = link(href)));
      copy(node, target);
    }
  };
  copy(source, out);
  return out;
}
