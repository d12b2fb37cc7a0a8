/** Dark or light: before the first paint, so as a plain script in the head. Sets data-theme on <html>. */
(() => {
  const STORED = "audiocraft-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem(STORED);
    } catch {
      return null; // storage may be forbidden: the system's choice holds then
    }
  };
  const apply = () => (document.documentElement.dataset.theme = chosen() ?? (system.matches ? "dark" : "light"));
  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      try {
        localStorage.setItem(STORED, next);
      } catch {
        // Chosen for this page only.
      }
      document.documentElement.dataset.theme = next;
    });
  });
})();
