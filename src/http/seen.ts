/** What a parser met among the names of a head: bits, so that nobody has to search for fields that are not there. */
export const SEEN_UNDERSCORE = 2;
/** `Forwarded` or a name that begins like X-Forwarded-For. */
export const SEEN_FORWARDED = 4;
export const SEEN_REQUEST_ID = 8;
export const SEEN_TRACEPARENT = 16;
export const SEEN_DATE = 32;
export const SEEN_SERVER = 64;
export const SEEN_TE_TRAILERS = 128;
/** `Client-Cert` or `Client-Cert-Chain`; X-Forwarded-Client-Cert is one of the others. */
export const SEEN_CLIENT_CERT = 256;
