/**
 * Writes the head of a request as HTTP/2 has it (RFC 9113 section 8.3.1). Nothing of another hop passes: `Headers` keeps
 * framing and hop-by-hop lines back, and the encoder drops the names that HTTP/2 forbids.
 */
import type { UpstreamRequest } from '../stream.ts';
import type { H2ClientStream } from './client-stream.ts';
import type { H2Core } from './core.ts';
import type { HpackEncoder } from './hpack/encoder.ts';

export interface AskedHead {
  readonly request: UpstreamRequest;
  /** Of the connection: what the upstream is reached by. */
  readonly scheme: 'http' | 'https';
}

/** Characters of the fields that are written here, beside what the request brings. */
const OWN_CHARS_MAX = 256;

/** The stream must have been opened just now. */
export function writeRequest(
  core: H2Core<H2ClientStream>,
  stream: H2ClientStream,
  { request, scheme }: AskedHead,
): void {
  const { method, target, authority, headers, extraLines, upgrade } = request;
  const tunnel = upgrade === 'websocket';
  const encoder = core.beginFields(
    headers.charsMax + extraLines.length + method.length + target.length + authority.length + OWN_CHARS_MAX,
  );
  encoder.field(':method', tunnel ? 'CONNECT' : method);
  // RFC 8441 section 4.
  if (tunnel) encoder.field(':protocol', upgrade);
  encoder.field(':scheme', scheme);
  if (authority !== '') encoder.field(':authority', authority);
  encoder.field(':path', target);
  if (tunnel) {
    headers.forEach((name, value) => {
      // RFC 8441 section 5.1: there is no challenge to answer.
      if (name.toLowerCase() !== 'sec-websocket-key') encoder.field(name, value);
    });
  } else {
    encoder.headers(headers);
    writeFraming(encoder, request);
  }
  writeLines(encoder, extraLines);
  core.endFields(stream);
}

function writeFraming(
  encoder: HpackEncoder,
  { method, bodyLength, expectContinue, teTrailers }: UpstreamRequest,
): void {
  if (bodyLength > 0) encoder.field('content-length', String(bodyLength));
  else if (bodyLength === 0 && (method === 'POST' || method === 'PUT' || method === 'PATCH')) {
    encoder.field('content-length', '0'); // RFC 9110 section 8.6
  }
  if (expectContinue) encoder.field('expect', '100-continue');
  if (teTrailers) encoder.field('te', 'trailers'); // the one value that is allowed (RFC 9113 section 8.2.2)
}

/** Lines as HTTP/1.1 writes them, made here: each a name, a colon, a space and a value. */
function writeLines(encoder: HpackEncoder, lines: string): void {
  for (let at = 0; at < lines.length;) {
    const colon = lines.indexOf(':', at);
    const end = lines.indexOf('\r\n', colon);
    encoder.field(lines.slice(at, colon), lines.slice(colon + 2, end));
    at = end + 2;
  }
}
