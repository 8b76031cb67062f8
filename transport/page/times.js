// Moments, as people say them.
import { SAY, many } from "./words.js";

const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const WEEKDAY = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });
const DAY = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });

export function clock(at) {
  return CLOCK.format(at);
}

export function day(at, now) {
  const days = daysBetween(at, now);
  return days === 0 ? SAY.today : days === 1 ? SAY.yesterday : WEEKDAY.format(at);
}

// As short as a list needs it.
export function brief(at, now) {
  return daysBetween(at, now) === 0 ? clock(at) : DAY.format(at);
}

export function ago(at, now) {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return SAY.justNow;
  if (minutes < 60) return `${many(minutes, "minute", "minutes")} ago`;
  return daysBetween(at, now) === 0 ? `at ${clock(at)}` : `${day(at, now)}, ${clock(at)}`;
}

function daysBetween(at, now) {
  return Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
}
