/** The proxies that a bench compares, each started from its file in peers/. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import {
  authorities,
  gateway,
  gatewayClass,
  httpRoute,
  type Manifest,
  prefixRule,
  service,
  tlsSecret,
  writeManifests,
} from '../test/client/manifests.ts';
import { type Bound, firstLineOf, startOn } from './process.ts';
import type { FilterCase } from './filter-case.ts';
import type { Wire } from './scenario.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** Present: clients must show a certificate that one of these has signed. */
  readonly clientCa?: string;
}

export interface Setup {
  /** Scratch folder of this peer in this scenario. */
  readonly dir: string;
  readonly core: number;
  readonly listen: Address;
  readonly origin: Address;
  /** Present: the listener speaks TLS with these PEM files. */
  readonly tls: TlsFiles | undefined;
  /** 0: everything goes to the origin. N: only the paths `/r/0` to `/r/N-1`. */
  readonly routes: number;
  readonly wire: Wire;
  readonly filter: FilterCase | undefined;
}

export interface Peer {
  readonly name: string;
  /** Undefined when it is not on this machine. */
  version(): string | undefined;
  /** Only there to be compared with, where a scenario has a filter. */
  readonly needsFilter?: boolean;
  /** Why it cannot serve a wire; undefined when it can. */
  cannot?(wire: Wire): string | undefined;
  start(setup: Setup): Bound | Promise<Bound>;
}

const PEERS_DIR = fileURLToPath(new URL('peers/', import.meta.url));
const ROOT = fileURLToPath(new URL('../', import.meta.url));

export const PEERS: readonly Peer[] = [
  { name: 'fourways', version: fourwaysVersion, start: startFourways },
  {
    name: 'fourways-empty',
    version: fourwaysVersion,
    needsFilter: true,
    start: (setup) => startFourways({ ...setup, filter: undefined }),
  },
  { name: 'nginx', version: () => versionIn(firstLineOf('nginx', '-v')), cannot: nginxCannot, start: startNginx },
  { name: 'haproxy', version: () => versionIn(firstLineOf('haproxy', '-v')), start: startHaproxy },
  {
    name: 'caddy',
    version: () => versionIn(firstLineOf('caddy', 'version')),
    cannot: ({ front }) => (front === 'tcp' ? 'does not pass on TCP without a plugin' : undefined),
    start: startCaddy,
  },
  { name: 'node-http', version: () => process.versions.node, start: startNode },
];

/** The program as users install it when it was built, else from source; the version says which. */
export function fourwaysProgram(): { readonly path: string; readonly from: 'built' | 'source' } | undefined {
  const built = join(ROOT, 'dist/main/fourways.js');
  if (existsSync(built)) return { path: built, from: 'built' };
  const source = join(ROOT, 'src/main/fourways.ts');
  return existsSync(source) ? { path: source, from: 'source' } : undefined;
}

export function fourwaysVersion(): string | undefined {
  const program = fourwaysProgram();
  if (program === undefined) return undefined;
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  return `${version} (${program.from}, Node ${process.versions.node})`;
}

/** `n` routes with a prefix each, all to one service; 0 stands for one route that takes everything. */
export function writeFourwaysConfig(
  setup: Pick<Setup, 'dir' | 'listen' | 'origin' | 'tls' | 'routes'> & Partial<Pick<Setup, 'wire' | 'filter'>>,
): string {
  const config = join(setup.dir, 'config');
  const { listen, origin, tls, wire = H1, filter } = setup;
  const secret =
    tls === undefined
      ? []
      : [tlsSecret('tls', { certificate: readFileSync(tls.certificate, 'utf8'), key: readFileSync(tls.key, 'utf8') })];
  const clients = tls?.clientCa === undefined ? [] : [authorities('clients', readFileSync(tls.clientCa, 'utf8'))];
  const entry = gateway({
    address: listen.host,
    port: listen.port,
    ...(wire.front === 'tcp' ? { protocol: 'TCP' as const } : {}),
    ...(tls === undefined ? {} : { tlsSecret: 'tls' }),
    ...(tls?.clientCa === undefined ? {} : { clientCa: 'clients' }),
  });
  const appProtocol = wire.back === 'h2' || wire.back === 'grpc' ? 'kubernetes.io/h2c' : undefined;
  const origins = service('origin', [origin], appProtocol);
  writeManifests(config, 'gateway.yaml', [gatewayClass(), entry, ...origins, ...secret, ...clients]);
  if (filter !== undefined) {
    writeManifests(config, 'policy.yaml', [
      {
        apiVersion: 'fourways.io/v1alpha1',
        kind: 'Policy',
        metadata: { name: 'bench', namespace: 'default' },
        spec: { targetRefs: [{ kind: 'HTTPRoute', name: 'all' }], filters: filter.filters(config) },
      },
      ...(filter.manifests ?? []),
    ]);
  }
  const all = fourwaysRoutes(wire, setup.routes);
  // 100 routes in a file: about how people keep them.
  for (let i = 0; i < all.length; i += 100) writeManifests(config, `routes-${i / 100}.yaml`, all.slice(i, i + 100));
  return config;
}

const H1: Wire = { front: 'h1', back: 'h1' };

function fourwaysRoutes({ front, back }: Wire, routes: number): Manifest[] {
  const backendRefs = [{ name: 'origin', port: 80 }];
  if (front === 'tcp') return [routeOf('TCPRoute', 'v1alpha2', [{ backendRefs }])];
  if (back === 'grpc') {
    return [routeOf('GRPCRoute', 'v1', [{ matches: [{ method: { service: 'bench.Echo' } }], backendRefs }])];
  }
  if (routes === 0) return [httpRoute({ name: 'all', rules: [prefixRule('/', 'origin')] })];
  return Array.from({ length: routes }, (_, i) =>
    httpRoute({ name: `r${i}`, rules: [prefixRule(`/r/${i}`, 'origin')] }),
  );
}

function routeOf(kind: string, version: string, rules: readonly Manifest[]): Manifest {
  return {
    apiVersion: `gateway.networking.k8s.io/${version}`,
    kind,
    metadata: { name: 'all', namespace: 'default' },
    spec: { parentRefs: [{ name: 'gw' }], rules },
  };
}

function startFourways(setup: Setup): Bound {
  const program = fourwaysProgram();
  if (program === undefined) throw new Error('Cannot start Fourways: neither dist/ nor src/main/fourways.ts is there');
  const config = writeFourwaysConfig(setup);
  // Shipped defaults: metrics, access log and request id are on. One worker, as everyone has one core.
  const options = ['--workers', '1', '--admin', '127.0.0.1:0', '--data', join(setup.dir, 'data')];
  const command = [process.execPath, program.path, 'up', config, '--bind', setup.listen.host, ...options];
  return startOn({ name: 'fourways', command, core: setup.core, dir: setup.dir });
}

/** HTTP/2 to an upstream is gRPC for it, or nothing. */
function nginxCannot({ front, back }: Wire): string | undefined {
  if (front === 'tcp' && !existsSync('/usr/share/nginx/modules/ngx_stream_module.so')) {
    return 'its stream module is not installed (libnginx-mod-stream)';
  }
  return back === 'h2' ? 'does not speak HTTP/2 to upstreams' : undefined;
}

function startNginx(setup: Setup): Bound {
  const { wire, tls, dir, core } = setup;
  const command = (path: string): string[] => ['nginx', '-c', path];
  if (wire.front === 'tcp') {
    return startOn({ name: 'nginx', command: command(fill('nginx-tcp.conf', setup, {})), core, dir });
  }
  const pass = wire.back === 'grpc' ? 'grpc_pass grpc://origin' : 'proxy_pass http://origin';
  const same = setup.filter?.nginx;
  const location = (path: string): string => `    location ${path} { ${same?.location ?? ''} ${pass}; }`;
  const routes =
    setup.routes === 0 ? [location('/')] : Array.from({ length: setup.routes }, (_, i) => location(`/r/${i}`));
  const path = fill('nginx.conf', setup, {
    connection: wire.front === 'ws' ? 'upgrade' : '',
    tls_flag: `${tls === undefined ? '' : ' ssl'}${wire.front === 'h2' ? ' http2' : ''}`,
    tls_lines: tls === undefined ? '' : nginxTls(tls),
    http_lines: same?.http ?? '',
    server_lines: same?.server ?? '',
    routes: routes.join('\n'),
  });
  return startOn({ name: 'nginx', command: command(path), core, dir });
}

function nginxTls({ certificate, key, clientCa }: TlsFiles): string {
  const asked = clientCa === undefined ? '' : ` ssl_client_certificate ${clientCa}; ssl_verify_client on;`;
  return `ssl_certificate ${certificate}; ssl_certificate_key ${key};${asked}`;
}

function startHaproxy(setup: Setup): Bound {
  const { wire, tls, dir, core } = setup;
  const map = join(dir, 'routes.map');
  writeFileSync(map, Array.from({ length: setup.routes }, (_, i) => `/r/${i} origin\n`).join(''));
  if (tls !== undefined) {
    writeFileSync(join(dir, 'both.pem'), readFileSync(tls.certificate, 'utf8') + readFileSync(tls.key, 'utf8'));
  }
  const h2 = wire.front === 'h2';
  const path = fill('haproxy.cfg', setup, {
    mode: wire.front === 'tcp' ? 'tcp' : 'http',
    // Where the kernel moves the bytes, it may: that is what HAProxy is set up for.
    mode_lines: wire.front === 'tcp' ? '  option splice-auto' : '  option forwardfor\n  http-reuse always',
    tls_flag:
      tls === undefined ? (h2 ? ' proto h2' : '') : ` ssl crt ${join(dir, 'both.pem')} alpn ${h2 ? 'h2' : 'http/1.1'}`,
    origin_flag: wire.back === 'h2' || wire.back === 'grpc' ? ' proto h2' : '',
    routes: setup.routes === 0 ? '  default_backend origin' : `  use_backend %[path,map_dir(${map})]`,
  });
  return startOn({ name: 'haproxy', command: ['haproxy', '-db', '-f', path], core, dir });
}

function startCaddy(setup: Setup): Bound {
  const { wire, tls } = setup;
  const versions = wire.back === 'h2' || wire.back === 'grpc' ? '\n\t\t\tversions h2c 2' : '';
  const transport = `transport http {\n\t\t\tkeepalive_idle_conns_per_host 256${versions}\n\t\t}`;
  const proxy = `reverse_proxy ${at(setup.origin)} {\n\t\tflush_interval -1\n\t\t${transport}\n\t}`;
  const routes =
    setup.routes === 0
      ? [`\t${proxy}`]
      : Array.from({ length: setup.routes }, (_, i) => `\thandle /r/${i}* {\n\t${proxy}\n\t}`);
  const scheme = tls === undefined ? 'http' : 'https';
  const path = fill('Caddyfile', setup, {
    address: `${scheme}://:${setup.listen.port}`,
    host: setup.listen.host,
    protocols: wire.front === 'h2' ? (tls === undefined ? 'h1 h2 h2c' : 'h1 h2') : 'h1',
    tls_lines: tls === undefined ? '' : `tls ${tls.certificate} ${tls.key}`,
    routes: routes.join('\n'),
  });
  const command = ['caddy', 'run', '--config', path, '--adapter', 'caddyfile'];
  return startOn({ name: 'caddy', command, core: setup.core, dir: setup.dir });
}

function startNode(setup: Setup): Bound {
  const { listen, origin, tls, routes, wire } = setup;
  const ends = [listen.host, listen.port, origin.host, origin.port];
  const pem = tls === undefined ? [] : [tls.certificate, tls.key];
  const start = (script: string, ...args: readonly (string | number)[]): Bound => {
    const command = [process.execPath, join(PEERS_DIR, script), ...args.map(String), ...pem];
    return startOn({ name: 'node-http', command, core: setup.core, dir: setup.dir });
  };
  if (wire.front === 'tcp') return start('node-tcp.ts', ...ends);
  if (wire.front === 'h2') return start('node-http2.ts', ...ends, wire.back === 'h1' ? 'h1' : 'h2');
  return start('node-http.ts', ...ends, routes);
}

/** The origin on its own core: nginx that answers from memory, or a script where messages are sent back. */
export function startOrigin(setup: Pick<Setup, 'dir' | 'core' | 'origin' | 'wire'>, bodyBytes: number): Bound {
  const { dir, core, origin, wire } = setup;
  const script = ({ ws: 'ws-origin.ts', grpc: 'grpc-echo-origin.ts' } as Record<string, string>)[wire.back];
  if (script !== undefined || firstLineOf('nginx', '-v') === undefined) {
    const args = [origin.host, String(origin.port), String(bodyBytes)];
    const command = [process.execPath, join(PEERS_DIR, script ?? 'origin-node.ts'), ...args];
    return startOn({ name: 'origin', command, core, dir });
  }
  // nginx takes at most 4 KB in one parameter: a long body is a block repeated, and a very long one a file.
  const blockBytes = Math.min(bodyBytes, 1024);
  const path = fill('origin-nginx.conf', setup, {
    // Its scratch folder is of the user who runs the bench.
    user_line: userInfo().username === 'root' ? 'user root;' : '',
    h2_flag: wire.back === 'h2' ? ' http2' : '',
    block: 'x'.repeat(blockBytes),
    location_lines: originAnswer(dir, bodyBytes, blockBytes),
  });
  return startOn({ name: 'origin', command: ['nginx', '-c', path], core, dir });
}

const BODY_IN_MEMORY_BYTES_MAX = 64 * 1024;

function originAnswer(dir: string, bodyBytes: number, blockBytes: number): string {
  if (bodyBytes > BODY_IN_MEMORY_BYTES_MAX) {
    mkdirSync(join(dir, 'files'), { recursive: true });
    writeFileSync(join(dir, 'files/body'), Buffer.alloc(bodyBytes, 'x'));
    return `      root ${join(dir, 'files')}; sendfile on; sendfile_max_chunk 1m; open_file_cache max=10; try_files /body =404;`;
  }
  return `      return 200 "${'$block'.repeat(Math.ceil(bodyBytes / blockBytes))}";`;
}

/** Writes a file of peers/ with its `{{names}}` filled in; the path of the copy. */
export function fill(
  file: string,
  setup: { readonly dir: string; readonly origin: Address; readonly listen?: Address },
  values: Readonly<Record<string, string>>,
): string {
  const all: Readonly<Record<string, string>> = {
    dir: setup.dir,
    origin: at(setup.origin),
    ...(setup.listen === undefined ? {} : { listen: at(setup.listen) }),
    ...values,
  };
  const text = readFileSync(join(PEERS_DIR, file), 'utf8').replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = all[name];
    if (value === undefined) throw new Error(`Cannot write ${file}: no value for {{${name}}}`);
    return value;
  });
  mkdirSync(setup.dir, { recursive: true });
  const path = join(setup.dir, file);
  writeFileSync(path, text);
  return path;
}

/** PEM files of a P-256 certificate for `bench.test`. @param clientCaPem  authorities of clients, where they have certificates */
export function writeCertificate(dir: string, clientCaPem?: string): TlsFiles {
  const { certificatePem, privateKeyPem } = makeCertificate({ hosts: ['bench.test'] });
  const files = { certificate: join(dir, 'bench.crt'), key: join(dir, 'bench.key') };
  writeFileSync(files.certificate, certificatePem);
  writeFileSync(files.key, privateKeyPem);
  if (clientCaPem === undefined) return files;
  const clientCa = join(dir, 'clients.crt');
  writeFileSync(clientCa, clientCaPem);
  return { ...files, clientCa };
}

export function at({ host, port }: Address): string {
  return `${host}:${port}`;
}

export function versionIn(line: string | undefined): string | undefined {
  return line === undefined ? undefined : (/\d+\.\d+(\.\d+)?/.exec(line)?.[0] ?? line);
}
