import { account, expect, field, routes, solve, test } from "./app.js";
const kind = process.env.KIND;
test("debug", async ({ page, app, emulator }) => {
    page.on("console", (m) => console.log("CONSOLE", m.text()));
    page.on("pageerror", (m) => console.log("ERROR", m.stack));
    page.on("request", (m) => console.log("REQ", m.method(), m.url()));
    const site = await app(account(emulator, "main", kind) + routes('use = "main"'));
    await site.page("/form", `<form method="post" action="/signup"><label>E-mail <input name="email" type="email" required></label>
  <div data-human-check="signup"></div><button>Sign up</button></form>`);
    await page.goto(`${site.base}/form`);
    await page.getByLabel("E-mail").fill("ada@example.com");
    await solve(page, kind);
    await page.waitForTimeout(1500);
    console.log(await page.locator("form").innerHTML());
    await page.getByRole("button", { name: "Sign up" }).click();
    await page.waitForTimeout(1500);
    console.log(await page.content());
});
