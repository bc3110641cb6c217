// The page is asked for again every two seconds, and only what has changed in it is
// changed: focus, scrolling and what is selected or typed stay where they are.
(() => {
  "use strict";
  const key = (n) => (n.nodeType === 1 && (n.dataset.key || n.id)) || "";
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

  function change(a, b) {
    if (a.nodeType !== 1) {
      if (a.data !== b.data) a.data = b.data;
      return;
    }
    for (const { name } of [...a.attributes]) if (!b.hasAttribute(name)) a.removeAttribute(name);
    for (const { name, value } of b.attributes) if (a.getAttribute(name) !== value) a.setAttribute(name, value);
    const wanted = new Set([...b.childNodes].map(key));
    for (const n of [...a.childNodes]) if (key(n) && !wanted.has(key(n))) n.remove();
    const kept = new Map([...a.childNodes].filter(key).map((n) => [key(n), n]));
    let at = a.firstChild;
    for (const n of b.childNodes) {
      if (at && alike(at, n)) {
        change(at, n);
        at = at.nextSibling;
      } else if (key(n) && kept.has(key(n)) && alike(kept.get(key(n)), n)) {
        const old = kept.get(key(n));
        change(old, n);
        a.insertBefore(old, at);
      } else {
        a.insertBefore(document.importNode(n, true), at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  const lost = document.getElementById("lost");
  const live = document.getElementById("live");
  let paused = false;
  live.hidden = false;
  live.addEventListener("click", () => {
    paused = !paused;
    live.setAttribute("aria-pressed", paused);
    live.textContent = paused ? "Go on" : "Pause";
  });

  async function update() {
    if (paused || document.hidden || !getSelection().isCollapsed) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const focus = document.activeElement;
      document.title = next.title;
      change(document.getElementById("main"), next.getElementById("main"));
      if (focus.isConnected && focus !== document.activeElement) focus.focus({ preventScroll: true });
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
  }
  (async () => {
    for (;;) {
      await new Promise((done) => setTimeout(done, 2000));
      await update();
    }
  })();
  document.addEventListener("visibilitychange", update);
})();
