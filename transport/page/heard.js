// What comes, as the rest of the client relies on it: pushes and replies, or nothing of a frame that holds something else.

// The pushes and replies of one frame; undefined for what is none.
export function heard(data) {
  try {
    const said = JSON.parse(data);
    const frames = Array.isArray(said) ? said : [said];
    return frames.every((frame) => isMap(frame) && (frame.t === undefined ? isReply(frame) : isPush(frame))) ? frames : undefined;
  } catch {
    return undefined;
  }
}

function isPush(push) {
  const { t, c = "", s = 1, p = {} } = push;
  const isPlaced = push.s === undefined || push.c !== undefined;
  return typeof t === "string" && typeof c === "string" && Number.isInteger(s) && s > 0 && isMap(p) && isPlaced;
}

function isReply({ i, r, e }) {
  const said = e === undefined || e === null ? isMap(r) : isMap(e) && typeof e.code === "string";
  return Number.isInteger(i) && i > 0 && i < 2 ** 32 && said;
}

function isMap(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
