/**
 * Trailers of a request that say what only a head may say (RFC 9110 section 6.5.1): who the client is, how it was
 * routed, what its content is. All of it was decided on the head; servers that merge trailers into their headers would
 * believe it all the same, so it is taken out. Framing and `Host` are refused by the codecs.
 */
import type { Headers } from './headers.ts';

const NAMES: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'client-cert',
  'client-cert-chain',
  'forwarded',
  'via',
  'x-real-ip',
  'x-request-id',
  'traceparent',
  'tracestate',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'range',
]);

/** Takes them out, in every spelling that some server reads as one of them: CGI-like ones read `x_y` like `x-y`. */
export function dropHeadNames(trailers: Headers): void {
  trailers.deleteWhere((lowerName) => {
    const plain = lowerName.replaceAll('_', '-');
    return NAMES.has(plain) || plain.startsWith('x-forwarded-');
  });
}
