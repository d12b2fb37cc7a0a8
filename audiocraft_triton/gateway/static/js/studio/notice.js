/** A place for a problem: what happened, what to do, and a way to try again. */

import { h } from "../dom.js";
import { explained } from "../problems.js";

export class Notice {
  #timer = 0;

  constructor(element) {
    this.element = element;
  }

  /** @param {Problem} problem @param {(() => void)|null} retry offered once the server's time to wait is over */
  show(problem, retry = null) {
    this.clear();
    const { title, text } = explained(problem);
    const button = retry && h("button", { type: "button", onclick: () => this.#again(retry) }, "Try again");
    this.element.append(h("div", { class: "notice" }, h("div", {}, h("strong", {}, title), h("p", {}, text)), button));
    if (button && problem.retryAfter) this.#countDown(button, Math.ceil(problem.retryAfter));
  }

  clear() {
    clearInterval(this.#timer);
    this.element.replaceChildren();
  }

  #again(retry) {
    this.clear();
    retry();
  }

  #countDown(button, seconds) {
    let left = seconds;
    const show = () => {
      button.disabled = left > 0;
      button.textContent = left > 0 ? `Try again (${left})` : "Try again";
      if (left-- <= 0) clearInterval(this.#timer);
    };
    show();
    this.#timer = setInterval(show, 1000);
  }
}
