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
    if (!SCORES.includes(kind)) { await expect(field(page)).not.toHaveValue(""); }
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

/** A provider that only the configuration describes, with a script of its own. */
const ACME = `
  window.acme = {
    render(element, options) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: \`Acme \${options.sitekey}\` });
      button.onclick = () => options.callback(TOKEN);
      element.append(button);
      return button;
    },
    reset() {},
  };`;

for (const [how, keys] of [["an object", 'render = "acme"'], ["a class", ""]]) {
  test(`a provider that the configuration describes is shown by ${how}`, async ({ page, app, emulator, context }) => {
    const { site_key, secret } = emulator.site("recaptcha-v2");
    const script = how === "an object" ? ACME : `
      for (const element of document.querySelectorAll(".acme:not(.on)")) {
        element.classList.add("on");
        element.innerHTML = '<button type="button">Acme</button><input type="hidden" name="acme-response">';
        element.firstChild.onclick = () => { element.lastChild.value = TOKEN; };
      }`;
    const site = await app(`[providers.acme]
kind = "siteverify"
site_key = "${site_key}"
secret = { env = "SECRET_recaptcha_v2" }
fields = ["acme-response"]
hostnames = ["127.0.0.1"]
[providers.acme.dialect]
url = "${emulator.base}/recaptcha/api/siteverify"
[providers.acme.dialect.widget]
script = "/acme.js"
class = "acme"
${keys}
` + routes('use = "acme"'));
    expect(secret).toBeTruthy();
    await context.route(/\/acme\.js/, async (route) => route.fulfill({ contentType: "text/javascript",
      body: script.replace("TOKEN", JSON.stringify(await emulator.mint({ provider: "recaptcha-v2", hostname: "127.0.0.1" }))) }));
    await site.page("/form", FORM);
    await page.goto(`${site.base}/form`);
    await page.getByLabel("E-mail").fill("ada@example.com");
    await page.getByRole("button", { name: "Acme" }).click();
    await expect(page.getByRole("status")).toHaveText("The verification is complete.");
    await page.getByRole("button", { name: "Sign up" }).click();
    await expect(page.locator("body")).toContainText("ada@example.com");
  });
}
