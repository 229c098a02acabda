// Before anything is painted: dark or light as the reader chose last, else as the system says.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("pinntk-theme");
  } catch {
    // A page from a file may have no storage.
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
