// What a numbered piece of a document is called: only PDF has pages. The ending of a name decides its format on this box.
const WORDS = { pdf: "page", pptx: "slide", xlsx: "sheet", epub: "section" };

/** "page", "slide", "sheet", "section", or "part" where the format has no word of its own. */
export function partWord(name) {
  return WORDS[name.split(".").at(-1).toLowerCase()] ?? "part";
}

/** "page 3"; empty for the beginning of what may have no more parts than that. */
export function placeOf(name, number) {
  const word = partWord(name);
  return word === "part" && number === 1 ? "" : `${word} ${number}`;
}

export const capitalised = (text) => text.charAt(0).toUpperCase() + text.slice(1);
