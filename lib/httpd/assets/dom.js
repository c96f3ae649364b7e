// dom.js - elements made by calls, and a live tree made equal to a fresh one.
//
// Text becomes text nodes and nothing else: no string is ever parsed as markup. A view builds a fresh tree each time; patch() changes
// only what differs, so that focus, selection and what was typed stay.

const SVG = 'http://www.w3.org/2000/svg';
const HANDLED = ['click', 'submit', 'change', 'input'];
const handlers = new WeakMap();

function make(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) {
      handlers.set(node, { ...handlers.get(node), [name.slice(2)]: value });
    } else {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(node, child);
    else if (child instanceof Node) node.append(child);
    else if (child !== null && child !== undefined && child !== false) node.append(document.createTextNode(String(child)));
  }
}

/** An element: props are attributes, or handlers when they begin with "on"; "key" props name a child among its siblings. */
export function h(tag, props, ...children) {
  return make(document.createElement(tag), props, children);
}

export function svg(tag, props, ...children) {
  return make(document.createElementNS(SVG, tag), props, children);
}

/** A link out of the page: only https becomes one, anything else stays text. */
export function out(url, ...children) {
  let good = null;
  try {
    good = typeof url === 'string' ? new URL(url) : null;
  } catch { /* not a URL: text */ }
  if (good === null || good.protocol !== 'https:') return h('span', null, ...children);
  return h('a', { href: good.href, target: '_blank', rel: 'noopener noreferrer' }, ...children);
}

for (const type of HANDLED) {
  document.addEventListener(type, (event) => {
    for (let node = event.target; node instanceof Node; node = node.parentNode) {
      const handle = handlers.get(node)?.[type];
      if (handle) {
        handle(event, node);
        return;
      }
    }
  });
}

const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute('data-key') : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

function syncAttributes(live, fresh) {
  for (const { name } of [...live.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === 'open' && live.nodeName === 'DETAILS')) live.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
}

function sync(live, fresh) {
  if (live.nodeType === Node.TEXT_NODE) {
    if (live.data !== fresh.data) live.data = fresh.data;
    return;
  }
  syncAttributes(live, fresh);
  handlers.set(live, handlers.get(fresh));
  if (live.nodeName === 'INPUT') {
    if (live.type === 'checkbox') live.checked = fresh.checked;
    else if (document.activeElement !== live && live.value !== fresh.value) live.value = fresh.value;
    return;
  }
  patch(live, fresh);
  if (live.nodeName === 'SELECT' && document.activeElement !== live && live.value !== fresh.value) live.value = fresh.value;
}

/** Makes the children of @live those of @fresh, which is used up. */
export function patch(live, fresh) {
  const keyed = new Map();
  for (const child of live.childNodes) {
    if (key(child) !== null) keyed.set(key(child), child);
  }
  let at = live.firstChild;
  for (const next of [...fresh.childNodes]) {
    const known = key(next) !== null ? keyed.get(key(next)) : at;
    if (known && alike(known, next)) {
      if (known === at) at = at.nextSibling;
      else live.insertBefore(known, at);
      sync(known, next);
    } else {
      live.insertBefore(next, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}
