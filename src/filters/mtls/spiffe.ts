/** SPIFFE IDs in certificates (SPIFFE: X.509-SVID, section 2 and SPIFFE-ID, section 2). */

const ID_CHARS_MAX = 2048;

/** The one SPIFFE ID of a certificate. Two URIs are none: which of them is meant could be read in two ways. */
export function spiffeIdOf(uris: readonly string[]): string | undefined {
  const [id] = uris;
  if (
    uris.length !== 1 ||
    id!.length > ID_CHARS_MAX ||
    !/^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]+)*$/.test(id!)
  ) {
    return undefined;
  }
  return /\/\.{1,2}(?:\/|$)/.test(id!) ? undefined : id;
}
