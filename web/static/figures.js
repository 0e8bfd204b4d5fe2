// Moments, durations and counts as people read them.
const two = (number) => String(number).padStart(2, "0");

/** 2026-11-20 17:05, in the time of this computer. */
export function moment(milliseconds, seconds = false) {
  const at = new Date(milliseconds);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return `${day} ${time}${seconds ? `:${two(at.getSeconds())}` : ""}`;
}

/** 5400 -> "90 min". */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
