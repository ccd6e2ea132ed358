/** A proxy of a mesh without the proxying: it joins and takes plans by the real client, and says when it has one. */
import { systemClock } from '../../src/base/clock.ts';
import { Fault } from '../../src/base/fault.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { readToken } from '../../src/identity/join-token.ts';
import { makeRequest } from '../../src/identity/request.ts';
import { controlId, formatWorkloadId } from '../../src/identity/spiffe.ts';
import type { Plan } from '../../src/ir/plan.ts';
import { PushClient } from '../../src/push/client.ts';
import { GrpcConnector } from '../../src/push/grpc-client.ts';
import { joinMesh } from '../../src/push/join-client.ts';
import { credentialsOf, type Member } from '../../src/sidecar/membership.ts';

export interface MeshMemberOptions {
  /** `HOST:PORT` of the control plane. */
  readonly control: string;
  readonly token: string;
  /** In the namespace `shop`. */
  readonly service: string;
  readonly instance: string;
  /** Called with each plan when it is there, whole and checked. */
  readonly onPlan?: (plan: Plan) => void;
}

const TRUST_DOMAIN = 'cluster.local';
const NAMESPACE = 'shop';

export interface MeshMember extends Member {
  readonly client: PushClient;
  /** Tells of an instance of its service, at this port of loopback for mTLS. */
  report(port: number, health: 'healthy' | 'unhealthy'): void;
}

export async function joinAs({ control, token, service, instance, onPlan }: MeshMemberOptions): Promise<MeshMember> {
  const identity = formatWorkloadId({ trustDomain: TRUST_DOMAIN, namespace: NAMESPACE, account: service });
  const server = controlId(TRUST_DOMAIN);
  const read = readToken(token);
  if ('flaw' in read) throw new Error(read.flaw);
  const { csrDer, privateKeyPem } = makeRequest(identity);
  const issued = await joinMesh(
    { address: control, server, clock: systemClock },
    { trust: { kind: 'root-hash', sha256: read.root }, token, csrDer, facts: { identity, instance } },
  );
  if (issued instanceof Fault) throw new Error(`Cannot join: ${issued.detail}`);
  const member = { chainPem: issued.chainPem, keyPem: privateKeyPem, trust: issued.trust };
  const connector = new GrpcConnector({ credentials: credentialsOf(member), server, clock: systemClock });
  const client = new PushClient({
    connect: connector.connect,
    addresses: [control],
    self: { software: 'bench', instance, role: 'sidecar', identity: '', zone: '' },
    apply({ bundle: { plan } }) {
      onPlan?.(plan);
      return Promise.resolve({ kind: 'ack', version: plan.version, ports: {} });
    },
    keep: () => undefined,
    events: {
      onUnknown: () => undefined,
      onTrust: () => undefined,
      onWish: () => undefined,
      askTo: () => () => undefined,
    },
    clock: systemClock,
    random: systemRandom(),
    log: silentLog,
  });
  client.start();
  const report: MeshMember['report'] = (proxyPort, health) =>
    client.report({
      kind: 'workload',
      service,
      namespace: NAMESPACE,
      address: '127.0.0.1',
      ports: [{ name: 'http', port: 8080, protocol: '' }],
      proxyPort,
      zone: '',
      health,
    });
  return { ...member, client, report };
}
