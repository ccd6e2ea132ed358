/**
 * Who the client is when proxies of ours stand in front, and what the upstream
 * is told of it: X-Forwarded-For, -Proto, -Host, -Port, RFC 7239 Forwarded, and
 * the certificate that it showed (client-identity.ts).
 *
 * Each proxy appends the address that it was called from, so these lists are
 * true from the right, as far as the proxies that wrote them are ours. We walk
 * from the right and stop at the first address that is no proxy of ours: that is
 * the client. What stands left of it was written by the client and is dropped,
 * because upstreams tend to read from the left.
 *
 * A proxy of ours speaks for its client in the matter of certificates too: what it
 * says is passed on, and its own certificate is not taken for the client's.
 */
import { CidrSet, plainIp } from '../base/cidr.ts';
import type { TrustedHops } from '../base/trusted-hops.ts';
import { parseAuthority } from './authority.ts';
import type { Headers } from './headers.ts';
import type { RequestHead } from './message.ts';
import type { ClientCertificate } from '../net/client-certificate.ts';
import { dropClientIdentity, type IdentityForm, identityLine } from './client-identity.ts';
import { SEEN_CLIENT_CERT, SEEN_FORWARDED, SEEN_UNDERSCORE } from './seen.ts';

/** Who called, as this hop sees it. */
export interface Caller {
  /** Address of the socket. */
  readonly peerIp: string;
  readonly scheme: 'http' | 'https';
  /** Bits of http/seen.ts: whether there is anything to read. */
  readonly seen: number;
  /** Shown and verified. */
  readonly certificate?: ClientCertificate | undefined;
}

export interface Client {
  readonly ip: string;
  /** Complete lines for the request on its way upstream, each with its CRLF. */
  readonly lines: string;
  /** What proxies of ours in front said that the client asked for, as `scheme host port`, where it is not what we see; else empty. */
  readonly told: string;
}

export interface ForwardingSettings {
  readonly trustedHops: TrustedHops;
  /** Port of the listener as the configuration has it. */
  readonly publicPort: number;
  /** Whether RFC 7239 `Forwarded` is written too. */
  readonly standard: 'write' | 'omit';
  /** How a verified certificate is passed on. */
  readonly certificate: IdentityForm;
}

/** What the client asked for, as the proxies of ours say. */
interface Asked {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly port: number;
}

/** Whether there may be a field that only a proxy of ours may send. */
const SEEN_ANY = SEEN_FORWARDED | SEEN_CLIENT_CERT | SEEN_UNDERSCORE;

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/** Reads and writes the fields of one listener. */
export class Forwarding {
  readonly #settings: ForwardingSettings;
  readonly #networks: CidrSet | undefined;
  #lastPeer = '';
  #lastTrusted = false;
  /** Of the request before that said nothing of forwarding: connections stay, and proxies in front are few. */
  #plainPeer = '';
  #plainScheme = '';
  #plainAuthority = '';
  #plain: Client = { ip: '', lines: '', told: '' };

  /** @throws {RangeError} on a network that is not one: settings were checked before */
  constructor(settings: ForwardingSettings) {
    const { cidrs } = settings.trustedHops;
    this.#settings = settings;
    this.#networks = cidrs.length === 0 ? undefined : new CidrSet(cidrs);
  }

  /** Reads the fields that came and takes them out: what the upstream gets is in the result. */
  read(request: RequestHead, caller: Caller): Client {
    const { peerIp, scheme, seen, certificate } = caller;
    const { headers, authority } = request;
    const { publicPort, certificate: form } = this.#settings;
    // A socket's address is valid; only IPv6 has other spellings.
    const peer = peerIp.includes(':') ? (plainIp(peerIp) ?? peerIp) : peerIp;
    const asked = { scheme, authority, port: publicPort };
    if ((seen & SEEN_ANY) === 0 && (certificate === undefined || form === 'none'))
      return this.#plainClient(peer, asked);
    const trusted = this.#trustsPeer(peer);
    let client: Client;
    if ((seen & SEEN_FORWARDED) === 0) client = this.#client([peer], asked);
    else {
      client = trusted ? this.#believed(headers, peer, asked) : this.#client([peer], asked);
      dropForwarded(headers);
    }
    if ((seen & SEEN_ANY) !== 0) dropClientIdentity(headers, trusted ? 'misspelt' : 'all');
    if (trusted || certificate === undefined) return client;
    return { ip: client.ip, lines: client.lines + identityLine(form, certificate), told: client.told };
  }

  #plainClient(peer: string, asked: Asked): Client {
    const { scheme, authority } = asked;
    if (peer !== this.#plainPeer || scheme !== this.#plainScheme || authority !== this.#plainAuthority) {
      this.#plain = this.#client([peer], asked);
      this.#plainPeer = peer;
      this.#plainScheme = scheme;
      this.#plainAuthority = authority;
    }
    return this.#plain;
  }

  #believed(headers: Headers, peer: string, ours: Asked): Client {
    const list = headers.combined('x-forwarded-for');
    if (list === undefined) {
      const elements = readForwarded(headers.combined('forwarded') ?? '', this.#settings.trustedHops.count);
      const chain = this.#chain(peer, elements.map(({ node }) => node).reverse());
      const first = elements[elements.length - chain.length + 1];
      if (first !== undefined) return this.#told(chain, { ...first, port: undefined }, ours);
    }
    const chain = this.#chain(peer, fromTheRight(list ?? ''));
    const proto = headers.combined('x-forwarded-proto');
    const host = headers.combined('x-forwarded-host');
    return this.#told(chain, { proto, host, port: headers.combined('x-forwarded-port') }, ours);
  }

  #told(chain: readonly string[], said: Said, ours: Asked): Client {
    const { scheme, authority, port } = askedOf(said, ours);
    const { ip, lines } = this.#client(chain, { scheme, authority, port });
    const isSeen = scheme === ours.scheme && authority === ours.authority && port === ours.port;
    return { ip, lines, told: isSeen ? '' : `${scheme} ${authority} ${port}` };
  }

  /** Addresses from the peer back to the client. At most one more than there are trusted hops. */
  #chain(peer: string, nodes: Iterable<string | undefined>): string[] {
    const chain = [peer];
    const { count } = this.#settings.trustedHops;
    for (const node of nodes) {
      if (chain.length > count || !this.#trusts(chain.at(-1)!)) break;
      const ip = node === undefined ? undefined : ipOfNode(node);
      if (ip === undefined) break;
      chain.push(ip);
    }
    return chain;
  }

  /** One peer sends many requests: the last answer is kept. */
  #trustsPeer(peer: string): boolean {
    if (this.#settings.trustedHops.count === 0) return false;
    if (peer !== this.#lastPeer) {
      this.#lastPeer = peer;
      this.#lastTrusted = this.#trusts(peer);
    }
    return this.#lastTrusted;
  }

  #trusts(ip: string): boolean {
    return this.#networks === undefined || this.#networks.has(ip);
  }

  /** @param chain  peer first, client last */
  #client(chain: readonly string[], { scheme, authority, port }: Asked): Client {
    const ip = chain.at(-1)!;
    const list = chain.length === 1 ? ip : chain.toReversed().join(', ');
    const host = authority === '' ? '' : `x-forwarded-host: ${authority}\r\n`;
    const standard = this.#settings.standard === 'write' ? forwardedLine(chain, scheme, authority) : '';
    const lines = `x-forwarded-for: ${list}\r\nx-forwarded-proto: ${scheme}\r\n${host}x-forwarded-port: ${port}\r\n${standard}`;
    return { ip, lines, told: '' };
  }
}

interface Said {
  readonly proto: string | undefined;
  readonly host: string | undefined;
  readonly port: string | undefined;
}

/** What a proxy of ours said, where it makes sense; else what we see. A list of values makes none. */
function askedOf(said: Said, ours: Asked): Asked {
  const proto = said.proto?.toLowerCase();
  const scheme = proto === 'http' || proto === 'https' ? proto : undefined;
  const host = said.host === undefined ? undefined : parseAuthority(said.host);
  const port = /^[1-9]\d{0,4}$/.test(said.port ?? '') ? Number(said.port) : 0;
  const impliedPort = scheme === undefined ? ours.port : (host?.port ?? DEFAULT_PORTS[scheme]);
  return {
    scheme: scheme ?? ours.scheme,
    authority: host === undefined ? ours.authority : said.host!,
    port: port > 0 && port <= 65_535 ? port : impliedPort,
  };
}

/** Items of a comma-separated list, last first. Only as much is read as is asked for. */
function* fromTheRight(list: string): Generator<string> {
  let end = list.length;
  while (end >= 0) {
    const comma = list.lastIndexOf(',', end - 1);
    // lastIndexOf takes a negative place for 0.
    const start = end === 0 ? 0 : comma + 1;
    yield list.slice(start, end);
    end = end === 0 ? -1 : comma;
  }
}

/** The address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; undefined otherwise. */
function ipOfNode(node: string): string | undefined {
  const text = node.trim();
  if (text.length > NODE_CHARS_MAX || text.includes('%')) return undefined;
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text);
  if (bracketed !== null) return bracketed[1]!.includes(':') ? plainIp(bracketed[1]!) : undefined;
  return plainIp(/^([^:]*):\d{1,5}$/.exec(text)?.[1] ?? text);
}

/** `[` IPv6 in its longest spelling `]:65535`. */
const NODE_CHARS_MAX = 53;

function dropForwarded(headers: Headers): void {
  headers.deleteWhere((lowerName) => {
    const isForwarded = lowerName === 'forwarded' || lowerName.startsWith('x-forwarded-');
    return isForwarded && lowerName !== 'x-forwarded-client-cert';
  });
}

/** One element of RFC 7239 `Forwarded`. */
interface Element {
  readonly node: string | undefined;
  readonly host: string | undefined;
  readonly proto: string | undefined;
}

const PAIR =
  /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)")[ \t]*(?:([;,])|$)/y;

/**
 * The last elements of a `Forwarded` field, at most `count`. One flaw anywhere
 * makes the whole field worth nothing: where its parts begin is in doubt.
 *
 * @see RFC 7239 section 4
 */
function readForwarded(field: string, count: number): Element[] {
  const elements: Element[] = [];
  let pairs = new Map<string, string>();
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < field.length) {
    const found = PAIR.exec(field);
    if (found === null) return [];
    const [, name, token, quoted, end] = found;
    const lowerName = name!.toLowerCase();
    if (pairs.has(lowerName)) return [];
    pairs.set(lowerName, token ?? quoted!.replaceAll(/\\(.)/g, '$1'));
    const isLast = PAIR.lastIndex >= field.length;
    if (isLast && end !== undefined) return [];
    if (end === ',' || isLast) {
      elements.push({ node: pairs.get('for'), host: pairs.get('host'), proto: pairs.get('proto') });
      if (elements.length > count) elements.shift();
      pairs = new Map();
    }
  }
  return elements;
}

/** The client's element says what it asked for; the proxies behind it are named by their addresses only. */
function forwardedLine(chain: readonly string[], scheme: string, authority: string): string {
  const elements = chain.toReversed().map((ip) => `for=${ip.includes(':') ? `"[${ip}]"` : ip}`);
  const host = /[:[]/.test(authority) ? `"${authority}"` : authority;
  elements[0] += `${host === '' ? '' : `;host=${host}`};proto=${scheme}`;
  return `forwarded: ${elements.join(', ')}\r\n`;
}
