/** Pairs of proxies as a mesh has them: client → proxy → mTLS, HTTP/2 → proxy → service. Both stand on the core that is measured. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { freeAddress } from './load.ts';
import { BenchMesh, MESH, serviceManifest } from './mesh.ts';
import { type Address, at, fill, fourwaysProgram, fourwaysVersion, type Peer, type Setup, versionIn } from './peer.ts';
import { type Bound, firstLineOf, startOn } from './process.ts';

const CONTROL_CORE = 1;

export const PAIRS: readonly Peer[] = [
  { name: 'fourways', version: fourwaysVersion, start: startSidecars },
  { name: 'haproxy', version: () => versionIn(firstLineOf('haproxy', '-v')), start: startHaproxies },
];

async function startSidecars({ dir, core, listen, origin, wire }: Setup): Promise<Bound> {
  const program = fourwaysProgram();
  if (program === undefined) throw new Error('Cannot start Fourways: neither dist/ nor src/main/fourways.ts is there');
  const name = wire.back === 'grpc' ? 'grpc' : 'http';
  const manifests = [MESH, serviceManifest('web'), serviceManifest('orders', name)].join('');
  // The control plane has nothing to do while requests run.
  const mesh = await BenchMesh.start({ dir, entry: program.from, core: CONTROL_CORE, manifests });
  const server = await mesh.sidecar(core, { service: 'orders.shop', app: [String(origin.port)] });
  const client = await mesh.sidecar(core, { service: 'web.shop', locals: [`orders.shop:80=${at(listen)}`] });
  return {
    pids: [client.child.pid!, server.child.pid!],
    get alive() {
      return [client, server].every(({ child }) => child.exitCode === null && child.signalCode === null);
    },
    stop: () => mesh[Symbol.asyncDispose](),
  };
}

async function startHaproxies(setup: Setup): Promise<Bound> {
  const { listen, origin, wire } = setup;
  const between = await freeAddress();
  const files = writePairCertificates(setup.dir);
  const start = (name: string, ends: { from: Address; front: string; to: Address; back: string }): Bound => {
    const dir = join(setup.dir, name);
    const { front, back } = ends;
    const path = fill('haproxy-pair.cfg', { dir, listen: ends.from, origin: ends.to }, { front, back });
    return startOn({ name: 'haproxy', command: ['haproxy', '-db', '-f', path], core: setup.core, dir });
  };
  const verified = `ca-file ${files.ca} verify required`;
  const pair = [
    start('client', {
      from: listen,
      front: wire.front === 'h2' ? ' proto h2' : '',
      to: between,
      back: ` ssl crt ${files.client} ${verified} verifyhost orders.test sni str(orders.test) alpn h2 ssl-min-ver TLSv1.3`,
    }),
    start('server', {
      from: between,
      front: ` ssl crt ${files.server} ${verified} alpn h2 ssl-min-ver TLSv1.3`,
      to: origin,
      back: wire.back === 'grpc' ? ' proto h2' : '',
    }),
  ];
  return {
    pids: pair.flatMap(({ pids }) => pids),
    get alive() {
      return pair.every(({ alive }) => alive);
    },
    async stop() {
      for (const one of pair) await one.stop();
    },
  };
}

/** PEM files of a certificate and its key for each end, P-256 as those of a mesh are. */
function writePairCertificates(dir: string): { readonly ca: string; readonly client: string; readonly server: string } {
  mkdirSync(dir, { recursive: true });
  const issuer = makeCertificate({ kind: 'ca', subject: 'Pair' });
  const files = { ca: join(dir, 'ca.pem'), client: join(dir, 'client.pem'), server: join(dir, 'server.pem') };
  writeFileSync(files.ca, issuer.leafPem);
  for (const end of ['client', 'server'] as const) {
    const host = end === 'server' ? 'orders.test' : 'web.test';
    const { certificatePem, privateKeyPem } = makeCertificate({ hosts: [host], kind: 'workload', issuer });
    writeFileSync(files[end], certificatePem + privateKeyPem);
  }
  return files;
}
