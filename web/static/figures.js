// Moments, durations and counts as people read them.
const two = (number) => String(number).padStart(2, "0");

/** 2026-11-20 17:05, in the time of this computer. */
export function moment(milliseconds, seconds = false) {
  const at = new Date(milliseconds);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return `${day} ${time}${seconds ? `:${two(at.getSeconds())}` : ""}`;
}

/** "UTC", "UTC+1", "UTC−3:30": the time of this computer at that moment, against the world's. */
export function zone(milliseconds) {
  const minutes = -new Date(milliseconds).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const [hours, rest] = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes > 0 ? "+" : "−"}${hours}${rest ? `:${two(rest)}` : ""}`;
}

/** 5400 -> "90 min". */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const plural = (count, noun, many = `${noun}s`) => `${count.toLocaleString("en")} ${count === 1 ? noun : many}`;
