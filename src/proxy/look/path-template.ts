/** The path of a request with `*` in place of what differs from one request to the next: what a policy can name. */

/** Segments that are kept apart; what is below is one. */
const SEGMENTS_MAX = 12;
const SEGMENT_CHARS_MAX = 64;
const PATH_CHARS_MAX = 512;

/** What looks like an id: numbers, dates, UUIDs, digests, keys; and what the path of a policy cannot say. */
const ID =
  /^(?:\d[\d.,:_-]*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=.*\d)[0-9a-f]{8,}|(?=.*\d)(?=.*[a-z])[\w~=+-]{20,}|.*[@*].*|(?=.*\d)[a-z]{1,8}[-_]\d{2,})$/i;
const UNSAYABLE = /[^\x21\x24-\x3b\x3d\x40-\x5b\x5d\x5f\x61-\x7a\x7e]/;

// `/orders/17/items` is `/orders`, a star, `/items`.
/** @param path  in normal form, without query */
export function pathTemplate(path: string): string {
  if (path === '' || path === '*') return path;
  const segments = path.split('/');
  const isLong = segments.length > SEGMENTS_MAX + 1 || path.length > PATH_CHARS_MAX;
  const kept = (isLong ? segments.slice(0, SEGMENTS_MAX + 1) : segments).map((segment) =>
    isId(segment) ? '*' : segment,
  );
  if (!isLong) return kept.join('/');
  while (kept.join('/').length > PATH_CHARS_MAX) kept.pop();
  return `${kept.join('/')}/**`;
}

function isId(segment: string): boolean {
  return segment.length > SEGMENT_CHARS_MAX || UNSAYABLE.test(segment) || ID.test(segment);
}
