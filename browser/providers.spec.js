// The emulator's scripts in plain pages, under the content security policy that the adapters state.

import { readFileSync } from "node:fs";
import { expect, policy, test } from "./site.js";
import { SOURCES, PROVIDERS, emulateHosts, sourcesFrom, verify } from "./providers.js";

const BOX = "I am human (emulated)";

/** Returns a page with a form that contains `inside`. */
function form(emulator, provider, { inside, query = "", script = "", origin = emulator.base }) {
  return {
    policy: policy(origin === emulator.base ? sourcesFrom(provider, origin) : SOURCES[provider]),
    body: `<!doctype html><title>form</title>
      <script src="/listener.js"></script>
      ${script}
      <script src="${origin}${PROVIDERS[provider].script}${query}" defer></script>
      <form method="post" action="/sent">${inside}<button id="send">Send</button></form>`,
  };
}

function widget(emulator, provider, attributes = "") {
  return `<div class="${PROVIDERS[provider].className}" data-sitekey="${emulator.site(provider).site_key}"
    data-callback="solved" data-expired-callback="expired" data-error-callback="failed" ${attributes}></div>`;
}

const box = (page) => page.frameLocator("iframe").getByRole("checkbox");
const callbacks = (page) => page.evaluate(() => window.callbacks);
const last = async (page, name) => (await callbacks(page)).filter(([what]) => what === name).at(-1)?.[1];

async function solved(page) {
  await expect.poll(() => last(page, "solved")).toBeTruthy();
  return last(page, "solved");
}

for (const provider of ["turnstile", "hcaptcha", "recaptcha-v2", "recaptcha-enterprise"]) {
  test.describe(provider, () => {
    const { fields } = PROVIDERS[provider];
    const action = { "turnstile": "signup", "recaptcha-enterprise": "signup" }[provider];

    test("a box in a form is ticked by keyboard, and the form posts its token", async ({ page, site, emulator }) => {
      site.add("/", form(emulator, provider, { inside: widget(emulator, provider, 'data-action="signup"') }));
      await page.goto(`${site.base}/`);
      await expect(page.frameLocator("iframe").getByLabel(BOX)).toBeEnabled();
      await box(page).press("Space");
      const token = await solved(page);
      await expect(box(page)).toBeChecked();
      await page.click("#send");
      await expect(page).toHaveTitle("thanks");
      for (const field of fields) { expect(site.posts[0].getAll(field)).toEqual([token]); }
      expect(await verify(emulator, provider, token)).toMatchObject({
        success: true,
        hostname: "127.0.0.1",
        ...action && { action },
      });
    });

    test("without a click there is no token", async ({ page, site, emulator }) => {
      site.add("/", form(emulator, provider, { inside: widget(emulator, provider) }));
      await page.goto(`${site.base}/`);
      await expect(box(page)).toBeEnabled();
      await page.click("#send");
      await expect(page).toHaveTitle("thanks");
      expect(site.posts[0].get(fields[0])).toBe("");
    });

    test("a token expires, in the page and in its field", async ({ page, site, emulator }) => {
      await emulator.knobs({ token_ttl_ms: 300 });
      site.add("/", form(emulator, provider, { inside: widget(emulator, provider) }));
      await page.goto(`${site.base}/`);
      await box(page).check();
      await expect.poll(() => callbacks(page)).toHaveLength(2);
      expect((await callbacks(page)).map(([name]) => name)).toEqual(["solved", "expired"]);
      await expect(page.locator(`[name="${fields[0]}"]`)).toHaveValue("");
      await expect(box(page)).not.toBeChecked();
      await emulator.knobs({});
      await box(page).check();
      await expect.poll(() => callbacks(page)).toHaveLength(3);
    });

    test("an unknown site key is an error", async ({ page, site, emulator }) => {
      const unknown = { turnstile: "0xunknown" }[provider] || "unknown";
      const inside = widget(emulator, provider).replace(emulator.site(provider).site_key, unknown);
      site.add("/", form(emulator, provider, { inside }));
      await page.goto(`${site.base}/`);
      // hCaptcha reports the error when a challenge is requested, the others when the widget is shown.
      if (provider === "hcaptcha") { await box(page).click(); }
      await expect.poll(() => callbacks(page)).toHaveLength(1);
      const code = { turnstile: "110100", hcaptcha: "invalid-data" }[provider];
      expect(await page.evaluate(() => window.callbacks[0])).toEqual(["failed", code]);
      await expect(page.frameLocator("iframe").getByRole("status")).toHaveText("invalid site key");
      await expect(box(page)).toBeEnabled({ enabled: provider === "hcaptcha" });
    });

    test("the token of a bot is refused or has a low score", async ({ page, site, emulator }) => {
      await emulator.knobs({ visitors_are_bots: true });
      site.add("/", form(emulator, provider, { inside: widget(emulator, provider) }));
      await page.goto(`${site.base}/`);
      await box(page).check();
      const verdict = await verify(emulator, provider, await solved(page));
      if (provider === "recaptcha-enterprise") {
        expect(verdict.score).toBeCloseTo(0.1);
      } else {
        expect(verdict.success).toBe(false);
      }
    });
  });
}

const callbackNames = (page) => page.evaluate(() => window.callbacks.map(([name]) => name));

test.describe("turnstile", () => {
  const site_key = (emulator) => emulator.site("turnstile").site_key;

  test("its field has another name, or is left out", async ({ page, site, emulator }) => {
    const inside = widget(emulator, "turnstile", 'data-response-field-name="token"')
      + widget(emulator, "turnstile", 'data-response-field="false" id="bare"');
    site.add("/", form(emulator, "turnstile", { inside }));
    await page.goto(`${site.base}/`);
    await page.frameLocator("iframe").first().getByRole("checkbox").check();
    const token = await solved(page);
    await page.click("#send");
    await expect(page).toHaveTitle("thanks");
    expect(Array.from(site.posts[0])).toEqual([["token", token]]);
  });

  test("a page renders, executes, resets and removes by itself", async ({ page, site, emulator }) => {
    site.add("/start.js", { type: "text/javascript", body: `
      window.loaded = () => {
        window.id = turnstile.render("#here", { sitekey: "${site_key(emulator)}", execution: "execute",
          action: "login", cData: "c1", callback: solved, "expired-callback": expired, "error-callback": failed });
      };` });
    site.add("/", form(emulator, "turnstile", {
      inside: '<div id="here"></div>',
      query: "?render=explicit&onload=loaded",
      script: '<script src="/start.js"></script>',
    }));
    await page.goto(`${site.base}/`);
    await expect.poll(() => page.evaluate(() => window.id)).toMatch(/^cf-chl-widget-\w{5}$/);
    await expect(page.locator("iframe")).toBeHidden();
    expect(await page.evaluate(() => turnstile.getResponse())).toBeUndefined();
    await page.evaluate(() => turnstile.execute("#here"));
    const token = await solved(page);
    expect(await page.evaluate(() => [turnstile.getResponse(id), turnstile.isExpired(id)])).toEqual([token, false]);
    expect(await verify(emulator, "turnstile", token)).toMatchObject({ success: true, action: "login", cdata: "c1" });
    // Until a reset, another execution gives the same token.
    await page.evaluate(() => turnstile.execute(id));
    expect(await callbacks(page)).toEqual([["solved", token], ["solved", token]]);
    await page.evaluate(() => turnstile.reset(id));
    expect(await page.evaluate(() => turnstile.getResponse(id))).toBeUndefined();
    await page.evaluate(() => turnstile.execute(id));
    await expect.poll(() => last(page, "solved")).not.toBe(token);
    await page.evaluate(() => turnstile.remove(id));
    await expect(page.locator("iframe, input")).toHaveCount(0);
  });

  test("without an error callback it throws, and testing keys never pass or pass at once", async ({ page, site, emulator, violations }) => {
    violations.expect(/^error: \[emulated Turnstile\] error: 600010$/);
    const key = (sitekey, more) => `<div class="cf-turnstile" data-sitekey="${sitekey}" ${more}></div>`;
    const inside = key("2x00000000000000000000AB", 'data-retry="never"') + key("1x00000000000000000000AA", 'data-callback="solved"');
    site.add("/", form(emulator, "turnstile", { inside }));
    await page.goto(`${site.base}/`);
    expect(await solved(page)).toBe("XXXX.DUMMY.TOKEN.XXXX");
    await expect.poll(() => violations.seen).toHaveLength(1);
  });

  test("without automatic refresh the page gets a callback when the token expires", async ({ page, site, emulator }) => {
    await emulator.knobs({ token_ttl_ms: 200 });
    site.add("/", form(emulator, "turnstile", { inside: widget(emulator, "turnstile", 'data-refresh-expired="never"') }));
    await page.goto(`${site.base}/`);
    await box(page).check();
    await expect.poll(() => callbackNames(page)).toEqual(["solved", "expired"]);
    expect(await page.evaluate(() => turnstile.isExpired())).toBe(true);
    await expect(box(page)).toBeChecked();
  });

  test("it replaces reCAPTCHA if the page selects that", async ({ page, site, emulator }) => {
    const inside = widget(emulator, "turnstile").replace("cf-turnstile", "g-recaptcha");
    site.add("/", form(emulator, "turnstile", { inside, query: "?compat=recaptcha" }));
    await page.goto(`${site.base}/`);
    await box(page).check();
    const token = await solved(page);
    expect(await page.evaluate(() => grecaptcha.getResponse())).toBe(token);
    await page.click("#send");
    await expect(page).toHaveTitle("thanks");
    expect(site.posts[0].get("g-recaptcha-response")).toBe(token);
    expect(site.posts[0].get("cf-turnstile-response")).toBe(token);
  });
});

test.describe("hcaptcha", () => {
  test("without compatibility there is one field and no grecaptcha", async ({ page, site, emulator }) => {
    site.add("/", form(emulator, "hcaptcha", { inside: widget(emulator, "hcaptcha"), query: "?recaptchacompat=off&hl=fr" }));
    await page.goto(`${site.base}/`);
    await page.frameLocator("iframe").getByLabel("Je suis humain").check();
    const token = await solved(page);
    expect(await page.evaluate(() => [hcaptcha.getResponse(), hcaptcha.getRespKey().slice(0, 3), typeof window.grecaptcha]))
      .toEqual([token, "E0_", "undefined"]);
    await page.click("#send");
    await expect(page).toHaveTitle("thanks");
    expect(Array.from(site.posts[0])).toEqual([["h-captcha-response", token]]);
  });

  test("a button starts a challenge, and a page can close one", async ({ page, site, emulator }) => {
    const inside = `<button id="go" class="h-captcha" data-sitekey="${emulator.site("hcaptcha").site_key}"
      data-callback="solved" data-close-callback="expired">Go</button>`;
    site.add("/", form(emulator, "hcaptcha", { inside }));
    await page.goto(`${site.base}/`);
    await page.click("#go");
    const token = await solved(page);
    await expect(page.locator('[name="h-captcha-response"]')).toHaveValue(token);
    const closed = await page.evaluate(async () => {
      const executed = hcaptcha.execute(undefined, { async: true });
      hcaptcha.close();
      return executed.then(() => "solved", (code) => code);
    });
    expect(closed).toBe("challenge-closed");
    expect(await callbackNames(page)).toEqual(["solved", "expired"]);
  });
});

test.describe("recaptcha", () => {
  test("a button starts a challenge", async ({ page, site, emulator }) => {
    const inside = `<button id="go" class="g-recaptcha" data-sitekey="${emulator.site("recaptcha-v2").site_key}"
      data-callback="solved">Go</button>`;
    site.add("/", form(emulator, "recaptcha-v2", { inside }));
    await page.goto(`${site.base}/`);
    await page.click("#go");
    expect((await verify(emulator, "recaptcha-v2", await solved(page))).success).toBe(true);
  });

  for (const first of ["box", "score"]) {
    test(`a box and a score share a page, the ${first} first`, async ({ page, site, emulator }) => {
      const { site_key } = emulator.site("recaptcha-v3");
      const score = `<script src="${emulator.base}/recaptcha/api.js?render=${site_key}" defer></script>`;
      const inside = widget(emulator, "recaptcha-v2");
      const both = form(emulator, "recaptcha-v2", { inside, script: first === "score" ? score : "" });
      if (first === "box") { both.body += score; }
      site.add("/", both);
      await page.goto(`${site.base}/`);
      await box(page).first().check();
      const ticked = await solved(page);
      const scored = await page.evaluate((key) => new Promise((resolve, reject) => {
        grecaptcha.ready(() => grecaptcha.execute(key, { action: "login" }).then(resolve, reject));
      }), site_key);
      expect((await verify(emulator, "recaptcha-v2", ticked)).success).toBe(true);
      expect(await verify(emulator, "recaptcha-v3", scored)).toMatchObject({ success: true, action: "login", score: 0.9 });
      // The field of the score's badge is outside of the form.
      await page.click("#send");
      await expect(page).toHaveTitle("thanks");
      expect(site.posts[0].getAll("g-recaptcha-response")).toEqual([ticked]);
    });
  }

  test("a score key is rendered without a place, and executed without its name", async ({ page, site, emulator }) => {
    const { site_key } = emulator.site("recaptcha-v3");
    site.add("/", form(emulator, "recaptcha-v3", { inside: "", query: "?render=explicit" }));
    await page.goto(`${site.base}/`);
    const [id, first, second] = await page.evaluate(async (sitekey) => {
      await new Promise((resolve) => grecaptcha.ready(resolve));
      const widget = grecaptcha.render({ sitekey, size: "invisible" });
      return [widget, await grecaptcha.execute(widget, { action: "login" }), await grecaptcha.execute({ action: "signup" })];
    }, site_key);
    expect(id).toBe(0);
    await expect(page.locator(".grecaptcha-badge")).toBeVisible();
    expect(await verify(emulator, "recaptcha-v3", first)).toMatchObject({ success: true, action: "login" });
    expect(await verify(emulator, "recaptcha-v3", second)).toMatchObject({ success: true, action: "signup" });
    expect(await page.evaluate(() => grecaptcha.getResponse())).toBe(second);
  });

  test("a key that the script was not loaded for is an error", async ({ page, site, emulator }) => {
    site.add("/", form(emulator, "recaptcha-v3", { inside: "", query: `?render=${emulator.site("recaptcha-v3").site_key}` }));
    await page.goto(`${site.base}/`);
    const error = await page.evaluate(() => {
      try { return grecaptcha.execute("other", {}); } catch (problem) { return problem.message; }
    });
    expect(error).toBe("Invalid site key or not loaded in api.js: other");
  });
});

test.describe("captchala", () => {
  const loader = readFileSync(new URL("../crates/human-check-captchala/src/widget_loader.js", import.meta.url), "utf8");

  function addPage(site, emulator, origin) {
    site.add("/loader.js", { type: "text/javascript", body: loader });
    site.add("/", form(emulator, "captchala", {
      origin,
      inside: `<div class="human-check-captchala" data-app-key="${emulator.site("captchala").site_key}"
        data-action="signup"><input type="hidden" name="captchala_token"></div><script src="/loader.js"></script>`,
    }));
  }
  const button = (page) => page.getByRole("checkbox", { name: BOX });

  test("the loader fills its field after a key press, and the form posts it", async ({ page, site, emulator }) => {
    addPage(site, emulator);
    await page.goto(`${site.base}/`);
    await button(page).press("Enter");
    await expect(button(page)).toBeChecked();
    await page.click("#send");
    await expect(page).toHaveTitle("thanks");
    const token = site.posts[0].get("captchala_token");
    expect(await verify(emulator, "captchala", token)).toEqual({ success: true, action: "signup", hostname: "127.0.0.1" });
  });

  test("with the provider's real hosts it satisfies the policy for those", async ({ page, context, violations, site, emulator }) => {
    await emulateHosts(context, violations, emulator, "captchala");
    addPage(site, emulator, PROVIDERS.captchala.host);
    const requested = page.waitForRequest((request) => request.method() === "POST");
    await page.goto(`${site.base}/`);
    await button(page).click();
    await expect(page.locator('[name="captchala_token"]')).toHaveValue(/^pt_/);
    expect(new URL((await requested).url()).hostname).toBe("apiv1.captcha.la");
  });

  test("the loader starts again on an event, and the token of a bot is refused", async ({ page, site, emulator }) => {
    addPage(site, emulator);
    await page.goto(`${site.base}/`);
    const field = page.locator('[name="captchala_token"]');
    await button(page).click();
    await expect(field).toHaveValue(/^pt_/);
    await emulator.knobs({ visitors_are_bots: true });
    await page.evaluate(() => document.dispatchEvent(new Event("human-check:again")));
    await expect(field).toHaveValue("");
    await expect(button(page)).toHaveCount(1);
    await button(page).click();
    await expect(field).toHaveValue(/^pt_/);
    expect((await verify(emulator, "captchala", await field.inputValue())).success).toBe(false);
  });

  test("a used server token is refused, and the page may supply another one", async ({ page, site, emulator }) => {
    await emulator.knobs({ server_token_required: true });
    const { site_key, secret } = emulator.site("captchala");
    const issue = async () => {
      const reply = await fetch(`${emulator.base}/v1/server/challenge/issue`, {
        method: "POST",
        headers: { "x-app-key": site_key, "x-app-secret": secret, "content-type": "application/json" },
        body: JSON.stringify({ action: "reset", max_uses: 1 }),
      });
      return (await reply.json()).data.server_token;
    };
    await page.exposeFunction("fresh", issue);
    site.add("/start.js", { type: "text/javascript", body: `
      window.begin = () => loadCaptchala(() => {
        window.widget = Captchala.init({ appKey: "${site_key}", serverToken: "${await issue()}",
          onServerTokenExpired: () => window.refresh ? window.fresh() : null })
          .onSuccess((result) => solved(result.token)).onError(failed).onReady(() => expired("ready")).appendTo("#here");
      }, failed);` });
    site.add("/", form(emulator, "captchala", { inside: '<div id="here"></div>', script: '<script src="/start.js"></script>' }));
    await page.goto(`${site.base}/`);
    await page.evaluate(() => begin());
    await expect.poll(() => callbackNames(page)).toEqual(["expired"]);
    await page.evaluate(() => { widget.verify(); });
    const first = await solved(page);
    expect(await verify(emulator, "captchala", first)).toMatchObject({ success: true, action: "reset" });
    await page.evaluate(() => { widget.verify(); });
    await expect.poll(() => last(page, "failed")).toMatch(/\(server_token_exhausted\)$/);
    await page.evaluate(() => { window.refresh = true; widget.verify(); });
    await expect.poll(() => last(page, "solved")).not.toBe(first);
    await page.evaluate(() => { widget.destroy(); });
    await expect(page.locator("#here")).toBeEmpty();
  });
});

test("a widget accepts messages of its own frame only, and a frame those of its page only", async ({ page, site, emulator }) => {
  const forged = { kind: "token", round: 1, token: "forged", ttl: 60_000 };
  // Another frame, with the origin of the page, sends messages to the page and to the widget's frame.
  site.add("/other.js", { type: "text/javascript", body: `
    onmessage = () => {
      parent.postMessage(${JSON.stringify(forged)}, "*");
      const start = { kind: "start", round: 1, solve: true, task: { sitekey: "x", mode: "checkbox" } };
      for (let n = 0; n < parent.frames.length; n += 1) {
        if (parent.frames[n] !== window) { parent.frames[n].postMessage(start, "*"); }
      }
      parent.postMessage("sent", "*");
    };` });
  site.add("/other", { body: '<script src="/other.js"></script>' });
  const open = form(emulator, "turnstile", { inside: widget(emulator, "turnstile") });
  open.policy = policy({ ...sourcesFrom("turnstile", emulator.base), "frame-src": ["'self'", emulator.base] });
  open.body += '<iframe id="other" src="/other"></iframe>';
  site.add("/", open);
  await page.goto(`${site.base}/`);
  const checkbox = page.frameLocator("form iframe").getByRole("checkbox");
  await expect(checkbox).toBeEnabled();
  await page.evaluate((message) => new Promise((resolve) => {
    addEventListener("message", ({ data }) => { if (data === "sent") { resolve(); } });
    // A message from the page itself must be ignored, too.
    postMessage(message, "*");
    document.getElementById("other").contentWindow.postMessage("send", "*");
  }), forged);
  await expect(checkbox).not.toBeChecked();
  expect(await callbacks(page)).toEqual([]);
  await checkbox.check();
  expect((await verify(emulator, "turnstile", await solved(page))).success).toBe(true);
});
