// One page stays open while the provider changes from every kind to every other one, before and after the
// visitor has solved the challenge. The page never changes for it, and nothing that was typed is lost.

import path from "node:path";
import { build } from "esbuild";
import { expect, KINDS, SCORES, solve, test } from "./app.js";

/** Returns a tour through all ordered pairs of kinds, each pair once (Hierholzer's algorithm). */
function tour() {
  const left = new Map(KINDS.map((kind) => [kind, KINDS.filter((other) => other !== kind)]));
  const stack = [KINDS[0]];
  const found = [];
  while (stack.length > 0) {
    const next = left.get(stack.at(-1)).pop();
    if (next) { stack.push(next); } else { found.push(stack.pop()); }
  }
  return found.reverse();
}

/** Pages of four kinds. Each has a form, and shows how often it was accepted. */
const PAGES = {
  html: {
    body: `<form method="post" action="/signup"><label>Comment <input name="email" required></label>
      <div data-human-check="signup"></div><button>Send</button></form>`,
  },
  htmx: {
    modules: ["htmx.org/dist/htmx.min.js"],
    body: `<form hx-post="/signup" hx-target="output" id="form"><label>Comment <input name="email" required></label>
      <div data-human-check="signup"></div><button>Send</button></form><output></output>`,
  },
  react: { entry: "react.jsx", body: `<div id="root"></div>` },
  vue: { modules: ["vue/dist/vue.runtime.global.prod.js"], body: `<div id="root"></div>`, scripts: `
    const { h, ref } = Vue;
    Vue.createApp({ setup() {
      const text = ref(""); const accepted = ref("");
      async function submit(event) {
        event.preventDefault();
        const response = await humanCheck.fetch("/comments", { method: "POST", humanCheck: event.target,
          headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: text.value }) });
        accepted.value = response.ok ? JSON.stringify(await response.json()) : "refused";
      }
      return () => [
        h("form", { onSubmit: submit }, [
          h("label", ["Comment ", h("input", { value: text.value, onInput: (event) => { text.value = event.target.value; } })]),
          h("div", { "data-human-check": "comments" }),
          h("button", "Send"),
        ]),
        h("output", accepted.value),
      ];
    } }).mount("#root");` },
};

async function open(page, site, style) {
  const { body, modules, scripts, entry } = PAGES[style];
  const bundled = entry && await build({
    entryPoints: [path.join(import.meta.dirname, "pages", entry)],
    bundle: true, write: false, format: "iife", jsx: "automatic", minify: true,
    define: { "process.env.NODE_ENV": '"production"' },
  });
  await site.page("/page", body, { modules, scripts: bundled ? bundled.outputFiles[0].text.replaceAll("</script", "<\\/script") : scripts });
  await page.goto(`${site.base}/page`);
}

/** The place in the page, or on the page of a refusal. */
const place = (page) => page.locator("[data-human-check], form").first();
const POSTS = ["/signup", "/comments"];

for (const style of Object.keys(PAGES)) {
  test(`a page in ${style} shows every kind after every other, before it is solved`, async ({ page, site }) => {
    test.setTimeout(240_000);
    await open(page, site, style);
    let number = 0;
    for (const kind of tour()) {
      number += 1;
      site.show(kind);
      // A change is seen when the visitor comes back to the form.
      if (style === "html") { await page.goto(`${site.base}/page`); }
      await page.getByLabel("Comment").fill(`text ${number}`);
      await shows(page, kind);
      await solve(page, kind, place(page));
      if (!SCORES.includes(kind)) { await shows(page, kind, "solved"); }
      const posts = site.posts.length;
      await page.getByRole("button", { name: "Send" }).click();
      await accepted(page, style, `text ${number}`);
      const sent = site.posts.slice(posts).filter((at) => POSTS.includes(at));
      expect(sent, `one submit for ${kind}`).toHaveLength(1);
    }
  });

  test(`a page in ${style} shows every kind after every other, when a solved one was refused`, async ({ page, site }) => {
    test.setTimeout(240_000);
    await open(page, site, style);
    const kinds = tour();
    for (let number = 1; number < kinds.length; number += 1) {
      const [before, kind] = [kinds[number - 1], kinds[number]];
      site.show(before);
      if (style === "html") { await page.goto(`${site.base}/page`); }
      await page.getByLabel("Comment").fill(`text ${number}`);
      await shows(page, before);
      await solve(page, before, place(page));
      if (!SCORES.includes(before)) { await shows(page, before, "solved"); }
      site.show(kind);
      await page.getByRole("button", { name: "Send" }).click();
      if (style === "html") {
        await page.getByRole("button", { name: "Continue" }).waitFor();
        await solve(page, kind, page.locator("form"));
        await expect.poll(() => hasToken(page, kind)).toBe(true);
        await page.getByRole("button", { name: "Continue" }).click();
      } else {
        // The widget of before stays until the refusal arrives.
        if (!SCORES.includes(kind)) { await shows(page, kind); }
        await expect(page.getByLabel("Comment")).toHaveValue(`text ${number}`);
        await solve(page, kind, place(page));
      }
      await accepted(page, style, `text ${number}`);
    }
  });
}

/** Waits until the page shows the challenge of a kind, or has a token of it. */
async function shows(page, kind, state = "shown") {
  await expect.poll(() => page.evaluate(() => `${window.shown?.provider} ${window.shown?.state}`)).toBe(`${kind} ${state}`);
}

/** Whether the form of a refusal has a token. A score gets one when the form is sent. The fields of the form that
 * was refused stand in the form itself, among them the token of an account that is gone. */
function hasToken(page, kind) {
  if (SCORES.includes(kind)) { return true; }
  if (kind === "altcha") { return page.locator("altcha-widget input[type=checkbox]").isChecked(); }
  return page.evaluate(() => [...document.forms[0].elements].some(({ name, value, parentElement }) => (
    parentElement !== document.forms[0] && value !== "" && !value.startsWith(".") && /(response|token)$|^altcha$/.test(name))));
}

/** Waits for the response of the handler, which repeats what was typed. */
async function accepted(page, style, text) {
  const where = style === "html" ? page.locator("body") : page.locator("output");
  await expect(where).toContainText(text);
  await expect(where).toContainText('"ok":true');
}

test.beforeEach(async ({ page }) => {
  await page.addInitScript(() => {
    addEventListener("human-check", ({ detail }) => { if (["shown", "solved"].includes(detail.state)) { window.shown = detail; } });
  });
});
