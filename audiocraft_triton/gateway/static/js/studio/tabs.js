/** The page's tabs, by the ARIA pattern: arrows move, the chosen one alone is in the tab order. */

export class Tabs {
  #tabs;

  /** @param {HTMLElement} list a role=tablist whose tabs have aria-controls */
  constructor(list) {
    this.#tabs = [...list.querySelectorAll("[role=tab]")];
    for (const tab of this.#tabs) tab.addEventListener("click", () => this.open(tab.id));
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const index = this.#tabs.indexOf(document.activeElement);
      const next = this.#tabs[(index + step + this.#tabs.length) % this.#tabs.length];
      next.focus();
      this.open(next.id);
    });
  }

  open(id) {
    for (const tab of this.#tabs) {
      const chosen = tab.id === id;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
  }
}
