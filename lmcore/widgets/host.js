/* Runs the book's figures on a page without a kernel. A classic script without dependencies, so it also works from file://.

   The notebook's HTML already holds everything: one script tag with the state of all widgets, and one view tag at the place
   of each figure. The host imports a figure's ES module through a Blob address (a file:// page may import nothing else),
   gives it a model with the few methods an anywidget uses, and lets it draw. Two views of one model share that model.

   Large data do not lie in the page but in classic scripts beside it (lmcore/site/apart.py), the only files that a file:// page
   may read. They are loaded before a figure draws, except those it lists in its state under `lazy`: for these it asks itself,
   by `await model.load(name, progress)`, when it needs them. */
(() => {
  "use strict";
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

  /** What a figure may ask of its model: Backbone's get, set, on, off, and save_changes, which has nobody to tell. */
  class Model {
    #state;
    #apart;
    #listeners = new Map();
    constructor(state, apart) { this.#state = state; this.#apart = apart; }
    get(name) { return this.#state[name]; }
    /** The data of this name, loaded first where they lie beside the page; progress(loaded, all) is told in bytes. */
    async load(name, progress = () => {}) {
      const buffer = this.#apart.get(name);
      if (buffer) {
        this.#state[name] = await fetchApart(buffer, progress);
        this.#apart.delete(name);
      }
      return this.#state[name];
    }
    set(name, value) {
      const wanted = typeof name === "object" ? name : { [name]: value };
      const changed = Object.keys(wanted).filter((key) => this.#state[key] !== wanted[key]);
      for (const key of changed) this.#state[key] = wanted[key]; // all of them first: a listener sees the whole change
      for (const key of changed) this.#emit("change:" + key, wanted[key]);
      if (changed.length) this.#emit("change");
    }
    save_changes() {}
    send() {}
    on(names, listener) {
      for (const name of names.split(/\s+/)) this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
    }
    off(names, listener) {
      if (!names) return this.#listeners.clear();
      for (const name of names.split(/\s+/))
        this.#listeners.set(name, listener ? (this.#listeners.get(name) ?? []).filter((f) => f !== listener) : []);
    }
    #emit(name, value) { for (const listener of this.#listeners.get(name) ?? []) listener(this, value); }
  }

  const modules = new Map(); // source → promise of the module: figures of one kind share one
  function load(source) {
    if (!modules.has(source)) modules.set(source, import(URL.createObjectURL(new Blob([source], { type: "text/javascript" }))));
    return modules.get(source);
  }

  function fromBase64(text) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new DataView(bytes.buffer);
  }

  const scripts = new Map(); // address → promise of what the script holds: figures that share data load them once
  function script(address) {
    if (!scripts.has(address)) scripts.set(address, new Promise((done, failed) => {
      const tag = document.createElement("script"), name = address.split("/").at(-1);
      const end = (text) => {
        tag.remove();
        if (text !== undefined) return done(text);
        scripts.delete(address); // the next attempt starts afresh
        failed(new Error(`its data in ${name} could not be loaded`));
      };
      tag.onload = () => { end(globalThis.lmApart?.[name]); delete globalThis.lmApart?.[name]; };
      tag.onerror = () => end();
      tag.src = address;
      document.head.append(tag);
    }));
    return scripts.get(address);
  }

  async function fetchApart({ scripts: addresses, bytes: all }, progress) {
    let loaded = 0;
    progress(loaded, all);
    const parts = await Promise.all(addresses.map(async (address) => {
      const text = await script(address);
      loaded += Math.floor(text.length / 4) * 3;
      progress(Math.min(loaded, all), all);
      return text;
    }));
    return fromBase64(parts.join(""));
  }

  const figures = new Map(); // model id → promise of { model, definition }
  function figure(states, id) {
    if (!figures.has(id)) figures.set(id, start(states[id]));
    return figures.get(id);
  }
  async function start(record) {
    if (!record) throw new Error("the page holds no state for it");
    if (record.model_module !== "anywidget") throw new Error(`it needs a kernel (${record.model_name})`);
    const state = structuredClone(record.state), apart = new Map();
    for (const buffer of record.buffers ?? []) {
      const { path, data, encoding } = buffer;
      if (encoding === "scripts") { apart.set(path[0], buffer); continue; } // the whole of a trait, never a part of one
      if (encoding !== "base64") throw new Error(`its data are encoded as ${encoding}`);
      const owner = path.slice(0, -1).reduce((part, key) => part[key], state);
      owner[path.at(-1)] = fromBase64(data);
    }
    style(state);
    const model = new Model(state, apart);
    await Promise.all([...apart.keys()].filter((name) => !state.lazy?.includes(name)).map((name) => model.load(name)));
    let definition = (await load(state._esm)).default;
    if (typeof definition === "function") definition = await definition();
    await definition.initialize?.({ model, experimental });
    return { model, definition };
  }
  const experimental = { invoke: () => Promise.reject(new Error("there is no kernel on this page")) };

  const styles = new Set();
  function style({ _css: css }) {
    if (!css || styles.has(css)) return;
    styles.add(css);
    document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  }

  async function mount(tag, states) {
    const id = JSON.parse(tag.textContent).model_id;
    const place = Object.assign(document.createElement("div"), { className: "lm-widget" });
    tag.after(place);
    try {
      const { model, definition } = await figure(states, id);
      await definition.render?.({ model, el: place, signal: new AbortController().signal, experimental });
      place.dataset.ready = "true";
    } catch (error) {
      console.error(error);
      place.dataset.ready = "failed";
      fail(place, error, states[id]?.state?.alt);
    }
  }

  /** Says in the figure's place that it could not start, and what it would have shown. */
  function fail(place, error, alt) {
    const box = Object.assign(document.createElement("div"), { className: "lm-widget-error" });
    box.setAttribute("role", "alert");
    Object.assign(box.style, { border: "2px solid", borderRadius: "6px", padding: "0.75rem 1rem", margin: "1rem 0" });
    for (const text of [`This figure could not start: ${error.message}.`, alt])
      if (text) box.append(Object.assign(document.createElement("p"), { textContent: text }));
    place.replaceChildren(box);
  }

  async function boot() {
    let states = {};
    try {
      for (const tag of document.querySelectorAll(STATE)) Object.assign(states, JSON.parse(tag.textContent).state);
    } catch (error) { console.error(error); }
    await Promise.all([...document.querySelectorAll(VIEW)].map((tag) => mount(tag, states)));
    performance.mark("lm-widgets-ready");
    document.documentElement.dataset.lmWidgets = "ready";
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", boot); else boot();
})();
