/** The API key: asked for when the gateway wants one, kept until the tab is closed. */

import { byId } from "./dom.js";

const STORED = "audiocraft-api-key";
let asking = null;

export const apiKey = () => sessionStorage.getItem(STORED);

/** Shows the dialog, one for all who wait. @returns {Promise<boolean>} whether a key was given */
export function askForKey() {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    const input = byId("key-input");
    byId("key-refused").hidden = apiKey() === null;
    input.value = "";
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        const given = dialog.returnValue === "use" && input.value.trim() !== "";
        if (given) sessionStorage.setItem(STORED, input.value.trim());
        resolve(given);
      },
      { once: true },
    );
  });
  return asking;
}
