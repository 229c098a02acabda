(() => {
  "use strict";
  const root = document.documentElement;
  const say = (text) => {
    document.getElementById("said").textContent = text;
  };

  // Dark and light.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const toggle = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const showTheme = () => {
    root.classList.toggle("dark", isDark());
    toggle.setAttribute("aria-pressed", String(isDark()));
  };
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("pinntk-theme", root.dataset.theme);
    } catch {
      // The choice holds until the page is closed.
    }
    showTheme();
  });
  system.addEventListener("change", showTheme);
  showTheme();

  // Copy buttons. From a file the clipboard may be refused; then the old way.
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.addEventListener("click", async () => {
      await copy(document.getElementById(button.dataset.copy).textContent);
      button.focus();
      button.textContent = "Copied";
      say("Copied");
      setTimeout(() => {
        button.textContent = "Copy";
        say("");
      }, 1500);
    });
  }

  // Figures.
  const items = JSON.parse(document.getElementById("figures").textContent);
  const drawn = new Map();
  const draw = async (place) => {
    const id = place.dataset.draw;
    const found = await Bokeh.embed.embed_item(items[id], place);
    drawn.set(id, found.roots[0]);
    // A figure is one image with a description; the keyboard goes past it to its table.
    const quiet = (node) => {
      for (const element of node.querySelectorAll("*")) {
        if (element.tabIndex >= 0) element.tabIndex = -1;
        if (element.shadowRoot) quiet(element.shadowRoot);
      }
    };
    quiet(place);
  };
  const places = [...document.querySelectorAll("[data-draw]")];
  const drawAll = async () => {
    for (const place of places) {
      try {
        await draw(place);
      } catch (error) {
        console.error(error);
        place.textContent = "This figure could not be drawn; its numbers stand in the table below.";
      }
    }
    root.classList.add("drawn");
  };
  drawAll();

  for (const button of document.querySelectorAll("button[data-key]")) {
    button.addEventListener("click", () => {
      const view = drawn.get(button.dataset.plot);
      if (!view) return;
      const visible = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(visible));
      for (const model of view.model.references()) {
        if (model.tags && model.tags.includes(button.dataset.key)) model.visible = visible;
      }
    });
  }

  // In print every figure is a picture, which fits the paper whatever the width of the window was.
  const freeze = () => {
    for (const [id, view] of drawn) {
      const place = document.querySelector(`[data-draw="${CSS.escape(id)}"]`);
      const picture = document.createElement("img");
      picture.className = "printed";
      picture.alt = "";
      picture.src = view.export("png", true).canvas.toDataURL("image/png");
      place.classList.add("frozen");
      place.append(picture);
    }
  };
  const thaw = () => {
    for (const picture of document.querySelectorAll("img.printed")) picture.remove();
    for (const place of places) place.classList.remove("frozen");
  };
  addEventListener("beforeprint", freeze);
  addEventListener("afterprint", thaw);
})();
