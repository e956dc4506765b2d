import { account, expect, field, routes, solve, test } from "./app.js";
test("debug", async ({ page, site }) => {
    page.on("console", (m) => console.log("CONSOLE", m.text()));
    page.on("pageerror", (m) => console.log("ERROR", m.stack));
    page.on("request", (m) => console.log("REQ", m.method(), m.url()));
    page.on("response", async (m) => console.log("RES", m.status(), m.url(), m.status() == 403 ? JSON.stringify(m.headers()).slice(0, 1800) : ""));
    await site.page("/page", `<form hx-post="/signup" hx-target="output" id="form"><label>Comment <input name="email" required></label>
      <div data-human-check="signup"></div><button>Send</button></form><output></output>`, { modules: [process.env.MOD ?? "htmx.org/dist/htmx.min.js"] });
    site.show("turnstile");
    await page.goto(`${site.base}/page`);
    await page.getByLabel("Comment").fill("x");
    await page.waitForTimeout(500);
    await solve(page, "turnstile");
    await page.waitForTimeout(1000);
    site.show("hcaptcha");
    await page.getByRole("button", { name: "Send" }).click();
    await page.waitForTimeout(2500);
    console.log(await page.locator("body").innerHTML());
});
