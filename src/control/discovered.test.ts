/** Endpoints that a catalog of Consul knows, from an agent that answers as its API is documented. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { type LogFields, silentLog } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { readManifests } from '../resource/read.ts';
import type { Backend, Resource } from '../resource/resource.ts';
import { Discovered } from './discovered.ts';
import { ConsulAgent } from './testing/consul-agent.ts';

function manifests(address: string, more = '', others = ''): readonly Resource[] {
  const { documents, problems } = readManifests(
    `
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: orders, namespace: shop }
spec: { consul: { address: "${address}", service: orders${more} } }
---
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: other, namespace: shop }
spec: { endpoints: [{ address: 10.0.0.1, port: 80 }] }
${others}`,
    'test.yaml',
  );
  assert.deepEqual(problems, []);
  return documents.flatMap(({ resource }) => resource ?? []);
}

const TOKEN = `---
apiVersion: v1
kind: Secret
metadata: { name: consul, namespace: shop }
stringData: { token: "s3cret-token" }
`;

class World implements Disposable {
  readonly lines: string[] = [];
  readonly discovered: Discovered;
  #changes = 0;
  #wake: () => void = () => undefined;

  constructor() {
    const write = (text: string, fields?: LogFields): void => {
      this.lines.push(`${text} ${JSON.stringify(fields)}`);
      this.#wake();
    };
    this.discovered = new Discovered({
      clock: systemClock,
      random: seededRandom(1, 2, 3, 4),
      log: { ...silentLog, warn: write, info: write },
      onChange: () => {
        this.#changes++;
        this.#wake();
      },
    });
  }

  endpoints(resources: readonly Resource[]): Backend['spec']['endpoints'] {
    return (this.discovered.with(resources)[0] as Backend).spec.endpoints;
  }

  async changes(count: number): Promise<void> {
    while (this.#changes < count) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async says(words: RegExp): Promise<void> {
    while (!this.lines.some((line) => words.test(line))) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  [Symbol.dispose](): void {
    this.discovered.close();
  }
}

const LIMIT = { timeout: 30_000 };

test(
  'instances that pass, with their weights and zones; a change is told, and nothing is asked again and again',
  LIMIT,
  async () => {
    await using agent = await ConsulAgent.start();
    using world = new World();
    agent.set(
      'orders',
      { address: '10.0.0.9', port: 8080, weight: 3, tags: ['v1', 'eu'], locality: { Region: 'eu', Zone: 'a' } },
      { node: '10.0.0.2', port: 8080, tags: ['v1', 'eu'] },
      { address: '10.0.0.3', port: 8080, tags: ['v1'] },
      { address: '10.0.0.4', port: 8080, tags: ['v1', 'eu'], passing: false },
    );
    const resources = manifests(`http://127.0.0.1:${agent.port}`, ', tags: [v1, eu], datacenter: dc2');
    assert.deepEqual(world.endpoints(resources), []);
    await world.discovered.first();
    const filled = world.discovered.with(resources);
    assert.deepEqual((filled[0] as Backend).spec.endpoints, [
      { address: '10.0.0.2', port: 8080, weight: 1 },
      { address: '10.0.0.9', port: 8080, weight: 3, zone: 'eu/a' },
    ]);
    // What did not change is the same object, so that nothing is made of it anew.
    assert.deepEqual(world.discovered.with(resources), filled);
    assert.equal(world.discovered.with(resources)[0], filled[0]);
    assert.equal(filled[1], resources[1]);
    await world.changes(1);
    agent.set('orders', { address: '10.0.0.9', port: 8080, tags: ['v1', 'eu'] });
    await world.changes(2);
    assert.deepEqual(world.endpoints(resources), [{ address: '10.0.0.9', port: 8080, weight: 1 }]);
    const asked = agent.queries.map(({ searchParams }) => [
      searchParams.get('index'),
      searchParams.get('dc'),
      searchParams.get('wait'),
    ]);
    assert.deepEqual(asked.slice(0, 2), [
      ['0', 'dc2', '60s'],
      ['11', 'dc2', '60s'],
    ]);
    assert.ok(asked.length <= 3, `${asked.length} questions`);
  },
);

test(
  'the agent is killed: what it said last stays; it comes back with an index that is smaller, and is believed',
  LIMIT,
  async () => {
    await using agent = await ConsulAgent.start();
    using world = new World();
    agent.set('orders', { port: 8080 });
    const resources = manifests(`http://127.0.0.1:${agent.port}`);
    world.discovered.with(resources);
    await world.discovered.first();
    const before = world.endpoints(resources);
    assert.equal(before.length, 1);
    await agent.goAway();
    await world.says(/Consul does not answer .*"instancesKept":1/);
    assert.equal(world.endpoints(resources), before);
    agent.index = 2;
    agent.set('orders', { port: 8080 }, { port: 8081 });
    await agent.comeBack();
    await world.says(/Consul answers again/);
    await world.changes(2);
    assert.deepEqual(
      world.endpoints(resources).map(({ port }) => port),
      [8080, 8081],
    );
  },
);

test(
  'a token is read from a Secret and shown to the agent and nobody else; one that is refused is said',
  LIMIT,
  async () => {
    await using agent = await ConsulAgent.start();
    using world = new World();
    agent.set('orders', { port: 8080 });
    agent.token = 'another';
    const address = `http://127.0.0.1:${agent.port}`;
    const resources = manifests(address, ', tokenRef: { name: consul }', TOKEN);
    world.discovered.with(resources);
    await world.says(/Status 403: the ACL token does not allow it/);
    agent.token = 's3cret-token';
    await world.changes(1);
    assert.equal(world.endpoints(resources).length, 1);
    assert.ok(!world.lines.some((line) => line.includes('s3cret')), world.lines.join('\n'));
    assert.ok(!agent.queries.some((url) => url.href.includes('s3cret')));

    // Without the Secret nobody is asked, and what is known is of no use.
    assert.deepEqual(world.endpoints(manifests(address, ', tokenRef: { name: consul }')), []);
  },
);

test('over TLS the agent must be who it is said to be', LIMIT, async () => {
  const ca = makeCertificate({ kind: 'ca', subject: 'Agents' });
  const { certificatePem: cert, privateKeyPem: key } = makeCertificate({ hosts: ['localhost'], issuer: ca });
  await using agent = await ConsulAgent.start({ cert, key });
  using world = new World();
  agent.set('orders', { port: 8080 });
  const address = `https://localhost:${agent.port}`;
  world.discovered.with(manifests(address));
  await world.says(/Consul does not answer/);
  assert.deepEqual(agent.queries, []);
  const pem = ca.certificatePem.trimEnd().replaceAll('\n', '\n    ');
  const bundle = `---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: agents, namespace: shop }\ndata:\n  ca.crt: |\n    ${pem}\n`;
  const resources = manifests(address, ', caCertificateRefs: [{ name: agents }]', bundle);
  world.discovered.with(resources);
  await world.changes(1);
  assert.equal(world.endpoints(resources).length, 1);
});
