// The page script in plain pages: forms, requests, and what goes wrong.

import { account, expect, field, KINDS, routes, SCORES, solve, test } from "./app.js";

const FORM = `<form method="post" action="/signup"><label>E-mail <input name="email" type="email" required></label>
  <div data-human-check="signup"></div><button>Sign up</button></form>`;

for (const kind of KINDS) {
  test(`a form with ${kind} is sent once, with its token`, async ({ page, app, emulator }) => {
    const site = await app(account(emulator, "main", kind) + routes('use = "main"'));
    await site.page("/form", FORM);
    await page.goto(`${site.base}/form`);
    await page.getByLabel("E-mail").fill("ada@example.com");
    await solve(page, kind);
    if (!SCORES.includes(kind)) { await expect(field(page, kind)).not.toHaveValue(""); }
    const sent = page.waitForResponse((response) => response.request().method() === "POST" && response.url().endsWith("/signup"));
    await page.getByRole("button", { name: "Sign up" }).click();
    const response = await sent;
    expect(response.status()).toBe(200);
    expect(await response.json()).toMatchObject({ ok: true, fields: { email: "ada@example.com" } });
    expect(site.posts.filter((path) => path === "/signup")).toHaveLength(1);
  });

  test(`a request without a place shows ${kind} in a dialog, and is sent again`, async ({ page, app, emulator }) => {
    const site = await app(account(emulator, "main", kind) + routes('use = "main"'));
    await site.page("/fetch", `<button id="go">Go</button><output></output>`, { scripts: `
      document.getElementById("go").addEventListener("click", async () => {
        const response = await humanCheck.fetch("/comments", { method: "POST",
          headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: "hello" }) });
        document.querySelector("output").textContent = response.status;
      });` });
    await page.goto(`${site.base}/fetch`);
    await page.getByRole("button", { name: "Go" }).click();
    await solve(page, kind, page.getByRole("dialog"));
    await expect(page.locator("output")).toHaveText("200");
    await expect(page.getByRole("dialog")).toHaveCount(0);
    await expect(page.getByRole("button", { name: "Go" })).toBeFocused();
    expect(site.posts.filter((path) => path === "/comments")).toHaveLength(2);
  });
}
