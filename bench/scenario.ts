/** What is measured. The names are stable: rows are compared across versions by them. */

export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** Bytes of the answer's body. */
  readonly bodyBytes: number;
  readonly tls: boolean;
  /** 0: one route that takes everything. */
  readonly routes: number;
  readonly headers: readonly string[];
  /** Peers that are left out, and why. */
  readonly only?: readonly string[];
}

/** What a browser sends beside Host: twelve lines, about 700 bytes. */
const BROWSER_HEADERS: readonly string[] = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Cache-Control: no-cache',
  'Cookie: session=5f2b8c0e9d7a4f6b8e1c3d5a7f9b0c2e; theme=dark; consent=1',
  'Referer: http://bench.test/catalogue/index.html',
  'Origin: http://bench.test',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: same-origin',
  'Upgrade-Insecure-Requests: 1',
];

const PLAIN = { bodyBytes: 100, tls: false, routes: 0, headers: [] } as const;

export const SCENARIOS: readonly Scenario[] = [
  { ...PLAIN, name: 'h1-bare', about: '64 keep-alive connections, 100 B answer, no request headers but Host' },
  { ...PLAIN, name: 'h1-12-headers', about: 'the same with 12 request headers', headers: BROWSER_HEADERS },
  { ...PLAIN, name: 'h1-16k', about: '16 KB answer', bodyBytes: 16_384 },
  { ...PLAIN, name: 'tls', about: 'TLS 1.3 terminated, HTTP/1.1 to the origin', tls: true },
  { ...PLAIN, name: 'routes-1000', about: '1,000 routes, the middle one asked for', routes: 1_000 },
  // Flat or not: our own lookup against the number of routes.
  { ...PLAIN, name: 'lookup-10', about: 'Fourways with 10 routes', routes: 10, only: ['fourways'] },
  { ...PLAIN, name: 'lookup-1000', about: 'Fourways with 1,000 routes', routes: 1_000, only: ['fourways'] },
  { ...PLAIN, name: 'lookup-10000', about: 'Fourways with 10,000 routes', routes: 10_000, only: ['fourways'] },
];

/** The path that a scenario asks for. */
export function pathOf(scenario: Scenario): string {
  return scenario.routes === 0 ? '/' : `/r/${Math.floor(scenario.routes / 2)}`;
}
