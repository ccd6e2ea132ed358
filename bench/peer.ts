/** The proxies that a bench compares, each started from its file in peers/. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import {
  gateway,
  gatewayClass,
  httpRoute,
  prefixRule,
  service,
  tlsSecret,
  writeManifests,
} from '../test/client/manifests.ts';
import { type Bound, firstLineOf, startOn } from './process.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Setup {
  /** Scratch folder of this peer in this scenario. */
  readonly dir: string;
  readonly core: number;
  readonly listen: Address;
  readonly origin: Address;
  /** Present: the listener speaks TLS with these PEM files. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  /** 0: everything goes to the origin. N: only the paths `/r/0` to `/r/N-1`. */
  readonly routes: number;
}

export interface Peer {
  readonly name: string;
  /** Undefined when it is not on this machine. */
  version(): string | undefined;
  start(setup: Setup): Bound;
}

const PEERS_DIR = fileURLToPath(new URL('peers/', import.meta.url));
const ROOT = fileURLToPath(new URL('../', import.meta.url));

export const PEERS: readonly Peer[] = [
  { name: 'fourways', version: fourwaysVersion, start: startFourways },
  { name: 'nginx', version: () => versionIn(firstLineOf('nginx', '-v')), start: startNginx },
  { name: 'haproxy', version: () => versionIn(firstLineOf('haproxy', '-v')), start: startHaproxy },
  { name: 'caddy', version: () => versionIn(firstLineOf('caddy', 'version')), start: startCaddy },
  { name: 'node-http', version: () => process.versions.node, start: startNodeHttp },
];

/** The program as users install it when it was built, else from source; the version says which. */
export function fourwaysProgram(): { readonly path: string; readonly from: 'built' | 'source' } | undefined {
  const built = join(ROOT, 'dist/main/fourways.js');
  if (existsSync(built)) return { path: built, from: 'built' };
  const source = join(ROOT, 'src/main/fourways.ts');
  return existsSync(source) ? { path: source, from: 'source' } : undefined;
}

function fourwaysVersion(): string | undefined {
  const program = fourwaysProgram();
  if (program === undefined) return undefined;
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  return `${version} (${program.from}, Node ${process.versions.node})`;
}

/** `n` routes with a prefix each, all to one service; 0 stands for one route that takes everything. */
export function writeFourwaysConfig(setup: Pick<Setup, 'dir' | 'listen' | 'origin' | 'tls' | 'routes'>): string {
  const config = join(setup.dir, 'config');
  const { listen, origin, tls, routes } = setup;
  const secret =
    tls === undefined
      ? []
      : [tlsSecret('tls', { certificate: readFileSync(tls.certificate, 'utf8'), key: readFileSync(tls.key, 'utf8') })];
  const entry = gateway({
    address: listen.host,
    port: listen.port,
    ...(tls === undefined ? {} : { tlsSecret: 'tls' }),
  });
  writeManifests(config, 'gateway.yaml', [gatewayClass(), entry, ...service('origin', [origin]), ...secret]);
  const all =
    routes === 0
      ? [httpRoute({ name: 'all', rules: [prefixRule('/', 'origin')] })]
      : Array.from({ length: routes }, (_, i) =>
          httpRoute({ name: `r${i}`, rules: [prefixRule(`/r/${i}`, 'origin')] }),
        );
  // 100 routes in a file: about how people keep them.
  for (let i = 0; i < all.length; i += 100) writeManifests(config, `routes-${i / 100}.yaml`, all.slice(i, i + 100));
  return config;
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

function startNginx(setup: Setup): Bound {
  const location = (path: string): string => `    location ${path} { proxy_pass http://origin; }`;
  const routes =
    setup.routes === 0 ? [location('/')] : Array.from({ length: setup.routes }, (_, i) => location(`/r/${i}`));
  const path = fill('nginx.conf', setup, {
    tls_flag: setup.tls === undefined ? '' : ' ssl',
    tls_lines:
      setup.tls === undefined ? '' : `ssl_certificate ${setup.tls.certificate}; ssl_certificate_key ${setup.tls.key};`,
    routes: routes.join('\n'),
  });
  return startOn({ name: 'nginx', command: ['nginx', '-c', path], core: setup.core, dir: setup.dir });
}

function startHaproxy(setup: Setup): Bound {
  const map = join(setup.dir, 'routes.map');
  writeFileSync(map, Array.from({ length: setup.routes }, (_, i) => `/r/${i} origin\n`).join(''));
  if (setup.tls !== undefined) {
    const pem = readFileSync(setup.tls.certificate, 'utf8') + readFileSync(setup.tls.key, 'utf8');
    writeFileSync(join(setup.dir, 'both.pem'), pem);
  }
  const path = fill('haproxy.cfg', setup, {
    tls_flag: setup.tls === undefined ? '' : ` ssl crt ${join(setup.dir, 'both.pem')} alpn http/1.1`,
    routes: setup.routes === 0 ? '  default_backend origin' : `  use_backend %[path,map_dir(${map})]`,
  });
  return startOn({ name: 'haproxy', command: ['haproxy', '-db', '-f', path], core: setup.core, dir: setup.dir });
}

function startCaddy(setup: Setup): Bound {
  const proxy = `reverse_proxy ${at(setup.origin)} {\n\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host 256\n\t\t}\n\t}`;
  const routes =
    setup.routes === 0
      ? [`\t${proxy}`]
      : Array.from({ length: setup.routes }, (_, i) => `\thandle /r/${i}* {\n\t${proxy}\n\t}`);
  const scheme = setup.tls === undefined ? 'http' : 'https';
  const path = fill('Caddyfile', setup, {
    address: `${scheme}://:${setup.listen.port}`,
    host: setup.listen.host,
    tls_lines: setup.tls === undefined ? '' : `tls ${setup.tls.certificate} ${setup.tls.key}`,
    routes: routes.join('\n'),
  });
  const command = ['caddy', 'run', '--config', path, '--adapter', 'caddyfile'];
  return startOn({ name: 'caddy', command, core: setup.core, dir: setup.dir });
}

function startNodeHttp(setup: Setup): Bound {
  const { listen, origin, tls, routes } = setup;
  const args = [listen.host, listen.port, origin.host, origin.port, routes].map(String);
  const pem = tls === undefined ? [] : [tls.certificate, tls.key];
  const command = [process.execPath, join(PEERS_DIR, 'node-http.ts'), ...args, ...pem];
  return startOn({ name: 'node-http', command, core: setup.core, dir: setup.dir });
}

/** The origin on its own core: nginx when it is there, else Node, which is said by the caller. */
export function startOrigin(setup: Pick<Setup, 'dir' | 'core' | 'origin'>, bodyBytes: number): Bound {
  const { dir, core, origin } = setup;
  if (firstLineOf('nginx', '-v') === undefined) {
    const command = [process.execPath, join(PEERS_DIR, 'origin-node.ts'), origin.host, String(origin.port)];
    return startOn({ name: 'origin', command: [...command, String(bodyBytes)], core, dir });
  }
  // nginx takes at most 4 KB in one parameter: a long body is a block repeated.
  const blockBytes = Math.min(bodyBytes, 1024);
  const path = fill('origin-nginx.conf', setup, {
    block: 'x'.repeat(blockBytes),
    body: '$block'.repeat(Math.ceil(bodyBytes / blockBytes)),
  });
  return startOn({ name: 'origin', command: ['nginx', '-c', path], core, dir });
}

/** Writes a file of peers/ with its `{{names}}` filled in; the path of the copy. */
function fill(
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

/** PEM files of a P-256 certificate for `bench.test`. */
export function writeCertificate(dir: string): { certificate: string; key: string } {
  const { certificatePem, privateKeyPem } = makeCertificate({ hosts: ['bench.test'] });
  const files = { certificate: join(dir, 'bench.crt'), key: join(dir, 'bench.key') };
  writeFileSync(files.certificate, certificatePem);
  writeFileSync(files.key, privateKeyPem);
  return files;
}

function at({ host, port }: Address): string {
  return `${host}:${port}`;
}

function versionIn(line: string | undefined): string | undefined {
  return line === undefined ? undefined : (/\d+\.\d+(\.\d+)?/.exec(line)?.[0] ?? line);
}
