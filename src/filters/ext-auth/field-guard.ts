/** Which header fields an authorizer may set: what came from another program must not break or steer the message. */
import { FORBIDDEN_FIELDS } from '../../filter/fields.ts';

/** RFC 9110 section 5.1; pseudo-fields of HTTP/2 begin with a colon, which is no character of a token. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
/** RFC 9110 section 5.5, as latin1 characters. */
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

/** Host chooses a site upstream, which routing has done; the rest frames the message. */
export function isSettable(lowerName: string): boolean {
  return NAME.test(lowerName) && lowerName !== 'host' && !FORBIDDEN_FIELDS.has(lowerName);
}

export function isFieldValue(value: string): boolean {
  return VALUE.test(value);
}
