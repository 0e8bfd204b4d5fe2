// On narrow screens the conversations lie over the thread: shown by their button, and put away by anything a person may try.

/** `place` holds `panel`, `behind` and the button `toggle`. Gives back a function that puts the panel away, true where it was open. */
export function threadsPanel({ place, panel, behind, toggle, close }) {
  const isOpen = () => place.classList.contains("with-threads");

  function show(open) {
    place.classList.toggle("with-threads", open);
    toggle.setAttribute("aria-expanded", String(open));
    behind.inert = open; // what lies below the panel takes neither keys nor clicks
  }

  function away({ back = false } = {}) {
    if (!isOpen()) return false;
    show(false);
    if (back) toggle.focus();
    return true;
  }

  toggle.addEventListener("click", () => {
    show(true);
    close.focus();
  });
  close.addEventListener("click", () => away({ back: true }));
  place.addEventListener("click", (event) => {
    if (!panel.contains(event.target) && !toggle.contains(event.target)) away({ back: true });
  });
  // a window that became wide shows both beside each other
  matchMedia("(max-width: 860px)").addEventListener("change", () => away());
  return away;
}
