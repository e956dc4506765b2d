// Follows the log while its page is open. Everything else works without a script.

const MOST = 200;
const table = document.getElementById("decisions");

if (table) {
  const rows = table.tBodies[0];
  const template = document.getElementById("decision");
  const live = document.getElementById("live");
  const tell = (text, connected) => {
    live.hidden = false;
    live.textContent = text;
    live.classList.toggle("on", connected);
  };

  const events = new EventSource(`/log/events?after=${table.dataset.last}`);
  events.addEventListener("open", () => tell("Live", true));
  events.addEventListener("error", () => {
    const over = events.readyState === EventSource.CLOSED;
    tell(over ? "Not live. Load the page anew." : "Connecting …", false);
  });
  events.addEventListener("message", (event) => {
    const entry = JSON.parse(event.data);
    const row = template.content.firstElementChild.cloneNode(true);
    const [at, decision, provider, reason, route, elapsed] = row.cells;
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
    elapsed.textContent = entry.elapsed;
    rows.prepend(row);
    while (rows.rows.length > MOST) { rows.lastElementChild.remove(); }
    document.getElementById("quiet").hidden = true;
  });
}
