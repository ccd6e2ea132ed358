import { isIP } from 'node:net';

/**
 * Whether a request with this Host header is meant for us. A page that a browser
 * loaded from elsewhere can point its own name at our address (DNS rebinding) and
 * then read our answers as its own. It cannot do that with an address or with a
 * name that is not its own, so only these are taken.
 *
 * @param boundHost  the host we were told to listen on, a name or an address
 */
export function isOurHost(hostHeader: string | undefined, boundHost: string): boolean {
  if (hostHeader === undefined) return false;
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:[\]/@]+))(?::\d{1,5})?$/.exec(hostHeader) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  const host = plain?.toLowerCase().replace(/\.$/, '');
  if (host === undefined) return false;
  return isIP(host) === 4 || host === 'localhost' || host.endsWith('.localhost') || host === boundHost.toLowerCase();
}
