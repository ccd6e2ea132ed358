/** Memory of a sidecar whose mesh has many services, of which it calls some. */
import { readFileSync } from 'node:fs';
import { DOOR_HOST, pause, rssOf } from '../test/client/fourways.ts';
import { RawClient } from '../test/client/raw-client.ts';
import { BenchMesh, fleetToken, MESH, serviceManifest } from './mesh.ts';
import { MeshServices } from './mesh-service.ts';
import type { PartOptions } from './parts.ts';
import { joinAs, type MeshMember } from './peers/mesh-member.ts';
import { settled } from './memory.ts';
import { round, type Row } from './row.ts';

const SIDECAR_CORE = 0;
const OTHER_CORE = 1;
/** Of each service that is called. */
const CALLS = 20;
/** Until a sidecar takes itself to be at rest, and has collected its garbage. */
const AT_REST_MS = 15_000;
/** Other instances of each service: files name them. */
const INSTANCES = 2;

export async function measureMeshMemory(
  options: PartOptions,
  { services, used }: { readonly services: number; readonly used: number },
): Promise<readonly Row[]> {
  const { dir, entry, version, say } = options;
  await using mesh = await BenchMesh.start({ dir, entry, core: OTHER_CORE, manifests: manifests(services, used) });
  using peers = await MeshServices.listen();
  const token = await fleetToken(mesh.control, used);
  const members: MeshMember[] = [];
  for (let i = 0; i < used; i++) {
    const member = await joinAs({ control: mesh.address, token, service: `s${i}`, instance: `s${i}-1` });
    peers.add(`s${i}`, member);
    member.report(peers.port, 'healthy');
    members.push(member);
  }
  const sidecar = await mesh.sidecar(SIDECAR_CORE, { service: 'web.shop' });
  const pid = sidecar.child.pid!;
  const rest = await settled(() => rssOf(pid));
  const proxy = new URL(sidecar.proxy);
  for (let i = 0; i < used; i++) await call(Number(proxy.port), `s${i}.shop`);
  await pause(AT_REST_MS);
  const after = await settled(() => rssOf(pid));
  const row = {
    scenario: 'mesh-memory',
    proxy: 'fourways',
    version,
    services,
    used,
    rss_mb: round(after / 1e6, 1),
    uss_mb: round(ussOf(pid) / 1e6, 1),
    rest_rss_mb: round(rest / 1e6, 1),
  };
  say(
    `fourways ${version}: ${row.rss_mb} MB resident, ${row.uss_mb} MB of its own, after calls of ${used} of ${services} services; ${row.rest_rss_mb} MB before the first`,
  );
  for (const { client } of members) client.close();
  return [row];
}

/** Those of the first services are members; the others stand in files. */
function manifests(services: number, used: number): string {
  const all = Array.from({ length: services }, (_, i) => serviceManifest(`s${i}`));
  const others = Array.from({ length: (services - used) * INSTANCES }, (_, i) => {
    const nth = used + Math.floor(i / INSTANCES);
    return `---
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: s${nth}-${i}, namespace: shop }
spec: { service: s${nth}, address: 10.${i >> 16}.${(i >> 8) & 255}.${i & 255}, ports: { http: 8080 }, proxyPort: 15008 }
`;
  });
  return [MESH, serviceManifest('web'), ...all, ...others].join('');
}

/** Of each service, one after the other on one connection, until it was answered as often as wanted. */
async function call(proxyPort: number, host: string): Promise<void> {
  const client = await RawClient.open({ host: DOOR_HOST, port: proxyPort });
  const request = `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  let failures = 0;
  for (let done = 0; done < CALLS;) {
    const { status } = await client.exchange(request);
    if (status === 200) done++;
    else if (++failures > CALLS) throw new Error(`${host} answers ${status}`);
    else await pause(100);
  }
  client.destroy();
}

/** What nobody else has, in bytes: of a program that runs once, all of its own code is. */
function ussOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return [...text.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].reduce((sum, [, kB]) => sum + Number(kB) * 1024, 0);
}
