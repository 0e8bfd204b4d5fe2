// How sensitive a collection is, in words; the values are those of policies/routing.toml.
/** What a collection is until an administrator says otherwise. */
export const USUAL = "internal";

/** The collection's name, with its classification where that is not the usual one, and whatever else is to be said. */
export function titled(collection, ...more) {
  const said = [collection.classification === USUAL ? "" : collection.classification, ...more].filter(Boolean);
  return said.length ? `${collection.name} (${said.join(", ")})` : collection.name;
}
