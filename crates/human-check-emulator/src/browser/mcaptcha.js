// The page in mCaptcha's frame, which sends its token to the page around it.

const sitekey = new URLSearchParams(location.search).get("sitekey");
new Box(document.body, "mcaptcha", sitekey, null, {
  solved: (token) => parent.postMessage({ token }, "*"),
  expired: () => parent.postMessage({ token: "" }, "*"),
  failed: () => parent.postMessage({ token: "" }, "*"),
});
