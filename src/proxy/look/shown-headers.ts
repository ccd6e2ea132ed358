/** Header fields of a request as they may be shown: what may be a secret is said to be one, and no more. */
import type { Headers } from '../../http/headers.ts';

/** Fields and characters of a value that are shown. */
const FIELDS_MAX = 64;
const VALUE_CHARS_MAX = 256;

/** Names of fields that hold, or may hold, what lets somebody in. */
const SECRET_NAME =
  /auth|cookie|token|secret|passw|pwd|api-?_?key|-key$|^key|session|sig(?:nature)?$|credential|jwt|assertion|otp|csrf|xsrf|cert|bearer/i;

/** Names whose values are long and of no use to a thief. */
const PLAIN_NAME =
  /^(?:accept(?:-.*)?|user-agent|host|via|content-(?:type|length|encoding|language)|traceparent|tracestate|x-request-id|x-forwarded-(?:for|proto|host|port)|forwarded|referer|origin|cache-control|if-(?:none-)?match|if-(?:un)?modified-since|date|sec-(?:fetch|ch|gpc).*|te|range|grpc-(?:timeout|encoding|accept-encoding))$/i;

/** A word that looks random: nobody writes such a one by hand. */
const SECRET_VALUE = /(?:^|[\s=:,;"])(?:bearer\s|basic\s|eyJ[\w-]+\.|[\w+/=~.-]{24,}(?:$|[\s,;"]))/i;

export function shownHeaders(headers: Headers): Record<string, string> {
  const shown: Record<string, string> = {};
  let count = 0;
  headers.forEach((name, value) => {
    if (++count > FIELDS_MAX) return;
    const isSecret = SECRET_NAME.test(name) || (!PLAIN_NAME.test(name) && SECRET_VALUE.test(value));
    // Addresses of pages have queries, too.
    const text = isSecret ? '(redacted)' : value.replaceAll(/\?[^\s,;"]+/g, '?(redacted)').slice(0, VALUE_CHARS_MAX);
    const lower = name.toLowerCase();
    shown[lower] = Object.hasOwn(shown, lower) ? `${shown[lower]}, ${text}` : text;
  });
  return shown;
}
