// Adds new decisions to the log page. All other pages work without a script.

const MAX_ROWS = 200;
const table = document.getElementById("decisions");

if (table) {
  const rows = table.tBodies[0];
  const template = document.getElementById("decision");
  const live = document.getElementById("live");
  const showState = (text, connected) => {
    live.hidden = false;
    live.textContent = text;
    live.classList.toggle("on", connected);
  };

  const events = new EventSource(`/log/events?after=${table.dataset.last}`);
  events.addEventListener("open", () => showState("Live", true));
  events.addEventListener("error", () => {
    const closed = events.readyState === EventSource.CLOSED;
    showState(closed ? "Not live. Reload the page." : "Connecting …", false);
  });
  events.addEventListener("message", (event) => {
    const entry = JSON.parse(event.data);
    const row = template.content.firstElementChild.cloneNode(true);
    const [at, decision, provider, reason, account, route, elapsed] = row.cells;
    row.dataset.number = entry.number;
    at.textContent = entry.at;
    route.textContent = entry.route;
    decision.firstElementChild.textContent = entry.decision;
    decision.firstElementChild.classList.add(entry.tone);
    provider.textContent = entry.provider;
    if (entry.reason) {
      reason.append(document.createElement("code"));
      reason.firstElementChild.textContent = entry.reason;
    }
    account.textContent = entry.account && `${entry.account}: ${entry.why}`;
    elapsed.textContent = entry.elapsed;
    rows.prepend(row);
    while (rows.rows.length > MAX_ROWS) { rows.lastElementChild.remove(); }
    document.getElementById("quiet").hidden = true;
  });
}
