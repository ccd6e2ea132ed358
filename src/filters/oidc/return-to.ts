/** Where a user comes to after a login: a page of this site, whatever an address says. */

/** Longest; a page with more behind it is come back to without its query. */
const CHARS_MAX = 2_048;

/**
 * An absolute address of the same origin, so that `//other.test` and its kin cannot be read as another site.
 *
 * @param target  path and query, as a client may have made it up
 */
export function returnAddress(origin: string, target: string): string {
  // RFC 3986 section 3.3 knows no backslash, which browsers take for a slash; and no control characters, which they drop.
  if (!/^\/[\x21-\x5b\x5d-\x7e]*$/.test(target) || target.length > CHARS_MAX) return `${origin}/`;
  const address = origin + target;
  return URL.canParse(address) && new URL(address).origin === new URL(origin).origin ? address : `${origin}/`;
}

/** The page that was asked for. */
export function targetOf({ path, query }: { readonly path: string; readonly query: string }): string {
  if (!path.startsWith('/')) return '/';
  return path.length + query.length <= CHARS_MAX ? path + query : path.slice(0, CHARS_MAX);
}
