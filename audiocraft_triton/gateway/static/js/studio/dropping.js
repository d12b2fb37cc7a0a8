/** Files dropped anywhere on the page. */

/** @param {(file: File) => void} onFile */
export function acceptDroppedFiles(onFile) {
  const carriesFiles = (event) => event.dataTransfer.types.includes("Files");
  let depth = 0; // every element under the pointer sends its own enter and leave
  const show = () => (document.documentElement.dataset.dropping = String(depth > 0));
  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    show();
  });
  addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return;
    depth -= 1;
    show();
  });
  addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show();
    const [file] = event.dataTransfer.files;
    if (file) onFile(file);
  });
}
