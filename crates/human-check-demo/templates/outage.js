// Tells which account the page script shows, and why. The form needs no script of the page.

addEventListener("human-check", ({ detail: { account, why } }) => {
  if (account) { document.getElementById("why").textContent = `The page shows the account ${account}: ${why}.`; }
});
