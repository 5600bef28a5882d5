"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = document.querySelector(".theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const label = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `${theme.textContent} colours`);
  };
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();

  for (const form of document.querySelectorAll("form.controls")) {
    const groups = [...form.parentElement.querySelectorAll("details.group")].map((node) => ({
      node,
      first: node.open,
      count: node.querySelector(".count"),
      text: null,
      rows: [...node.querySelectorAll("ul.found > li")].map((row) => ({ node: row, text: null })),
    }));
    const total = groups.reduce((sum, group) => sum + group.rows.length, 0);
    const output = form.querySelector("output");
    const fold = form.elements.fold;
    const noun = form.dataset.noun ?? "findings";
    const number = new Intl.NumberFormat("en");
    let before = "";

    const filter = () => {
      const data = new FormData(form);
      const states = new Set(data.getAll("state"));
      const invariant = data.get("invariant");
      const account = data.get("account");
      const words = data.get("text").toLowerCase().split(/\s+/).filter(Boolean);
      let seen = 0;
      for (const group of groups) {
        const { state, invariant: own } = group.node.dataset;
        let here = 0;
        if (states.has(state) && (!invariant || invariant === own)) {
          if (words.length) {
            group.text ??= [own, state, group.node.querySelector(".told").textContent].join(" ").toLowerCase();
          }
          const left = words.filter((word) => !group.text.includes(word));
          for (const row of group.rows) {
            if (left.length) row.text ??= row.node.textContent.toLowerCase();
            const shown =
              (!account || (row.node.dataset.of ?? "").split(" ").includes(account)) &&
              left.every((word) => row.text.includes(word));
            if (row.node.hidden === shown) row.node.hidden = !shown;
            here += shown;
          }
        }
        group.node.hidden = here === 0;
        group.count.textContent =
          here === group.rows.length ? number.format(here) : `${number.format(here)} of ${number.format(group.rows.length)}`;
        seen += here;
      }
      const of = seen === total ? "" : `${number.format(seen)} of `;
      output.textContent = `${of}${number.format(total)} ${noun}`;
      // What is searched for is looked at: it does not stay folded while it is little.
      const search = words.join(" ");
      if (search !== before) {
        for (const group of groups) group.node.open = search ? seen <= 200 && !group.node.hidden : group.first;
        before = search;
      }
      say();
    };
    const shut = () => groups.some((group) => !group.node.hidden && !group.node.open);
    const say = () => {
      fold.textContent = shut() ? "Open all" : "Fold all";
    };
    let waiting = 0;
    form.addEventListener("input", () => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(filter);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(filter));
    fold.addEventListener("click", () => {
      const open = shut();
      for (const group of groups) if (!group.node.hidden) group.node.open = open;
      say();
    });
    for (const group of groups) group.node.addEventListener("toggle", say);
    form.hidden = false;
    filter();
  }

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of folded) each.open = false;
  });
})();
