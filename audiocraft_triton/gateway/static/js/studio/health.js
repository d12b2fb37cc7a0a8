/** The state of the server, in the header: asked every half minute, and when something went wrong. */

import { health } from "../api.js";
import { byId, h } from "../dom.js";

const EVERY_MILLISECONDS = 30_000;
const WORDS = { ready: "Ready", live: "Starting", unreachable: "Models away", away: "No answer" };

export class Health {
  #asked = 0;

  start() {
    void this.check();
    setInterval(() => document.hidden || this.check(), EVERY_MILLISECONDS);
    document.addEventListener("visibilitychange", () => document.hidden || this.check());
    const details = byId("health");
    details.addEventListener("keydown", ({ key }) => key === "Escape" && this.#fold(details));
    document.addEventListener("pointerdown", ({ target }) => details.contains(target) || (details.open = false));
  }

  async check() {
    const turn = ++this.#asked;
    const state = await health().catch(() => ({ status: "away" }));
    if (turn === this.#asked) this.#show(state);
  }

  #fold(details) {
    details.open = false;
    details.querySelector("summary").focus();
  }

  #show({ status, version, models = {}, discriminators = {} }) {
    byId("health").dataset.status = status;
    byId("health-word").textContent = WORDS[status] ?? status;
    byId("health-version").textContent = version ? `Triton ${version}` : "No version known";
    const rows = Object.entries({ ...models, ...discriminators }).sort(([a], [b]) => a.localeCompare(b));
    byId("health-models").replaceChildren(
      ...rows.map(([name, ready]) =>
        h("li", { dataset: { ready: String(ready) } }, h("code", {}, name), h("span", {}, ready ? "ready" : "not ready")),
      ),
    );
  }
}
