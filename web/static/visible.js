// What nobody sees but a program reads: controls, directions, zero widths, tags, selectors of variants, halves of characters.
// The same set as in appliance/language/seen.py, for what reached the box by other ways: answers, names, titles.
const UNSEEN =
  /[\0-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F\u061C\u115F\u1160\u17B4\u17B5\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\u3164\uD800-\uDFFF\uFDD0-\uFDEF\uFE00-\uFE0E\uFEFF\uFFA0\uFFF9-\uFFFB\uFFFE\uFFFF\u{1BCA0}-\u{1BCA3}\u{1D173}-\u{1D17A}\u{E0000}-\u{E0FFF}\u{F0000}-\u{10FFFF}]/gu;
// joiners change the shape of letters in many scripts, and of emoji; alone between two such signs they carry no message
const JOINERS = /(?<![^\0-\x7F])[\u200C\u200D]+|[\u200C\u200D]{2,}|[\u200C\u200D](?![^\0-\x7F])/gu;

/** `text` without what a reader cannot see. */
export function visible(text) {
  return text.replace(UNSEEN, "").replace(JOINERS, "");
}

/** `json` with what a reader cannot see written as the escapes of JSON, which mean the same. */
export function escaped(json) {
  const escape = (sign) => sign.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return json.replace(UNSEEN, (sign) => (sign < " " ? sign : escape(sign)));
}
