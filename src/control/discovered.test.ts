/** Endpoints that a catalog of Consul knows, from an agent that answers as its API is documented. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { formatProblem } from '../base/problem.ts';
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
  readonly discovered: Discovered;
  #changes = 0;
  #wake: () => void = () => undefined;

  constructor() {
    this.discovered = new Discovered({
      clock: systemClock,
      random: seededRandom(1, 2, 3, 4),
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

  get problems(): string[] {
    return this.discovered.problems().map((problem) => formatProblem(problem));
  }

  async says(words: RegExp): Promise<void> {
    while (!this.problems.some((line) => words.test(line)))
      await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async isContent(): Promise<void> {
    while (this.problems.length > 0) await new Promise<void>((resolve) => (this.#wake = resolve));
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
    await world.says(
      /warning: Instances of "orders" are not known from Consul .*; 1 are used, those that it named last/,
    );
    assert.equal(world.endpoints(resources), before);
    agent.index = 2;
    agent.set('orders', { port: 8080 }, { port: 8081 });
    await agent.comeBack();
    await world.isContent();
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
    await world.says(
      /^test.yaml:5:.* error: .* does not answer the ACL token \(403\): give it service:read of "orders" and node:read/,
    );
    const said = world.problems;
    agent.token = 's3cret-token';
    await world.isContent();
    assert.equal(world.endpoints(resources).length, 1);
    assert.ok(!said.some((line) => line.includes('s3cret')), said.join('\n'));
    assert.ok(!agent.queries.some((url) => url.href.includes('s3cret')));

    // Without the Secret nobody is asked, and what is known is of no use.
    assert.deepEqual(world.endpoints(manifests(address, ', tokenRef: { name: consul }')), []);
  },
);

test(
  'an ACL token that may see nothing gets an empty list: what was known stays, and it is said what the token lacks',
  LIMIT,
  async () => {
    await using agent = await ConsulAgent.start();
    using world = new World();
    agent.set('orders', { port: 8080 }, { port: 8081 });
    const resources = manifests(`http://127.0.0.1:${agent.port}`);
    world.discovered.with(resources);
    await world.discovered.first();
    const before = world.endpoints(resources);
    assert.equal(before.length, 2);

    agent.hidden = 'all';
    agent.set('orders', { port: 8080 }, { port: 8081 });
    const lacking = 'name one that has service:read of "orders" and node:read of its nodes in tokenRef';
    await world.says(
      new RegExp(`^test.yaml:5:.* warning: .* hides all instances from the ACL token: ${lacking}; 2 are`),
    );
    assert.equal(world.endpoints(resources), before);

    // Some that it may not see: the others are as they are.
    agent.hidden = 8081;
    await world.says(/hides some instances from the ACL token/);
    assert.deepEqual(
      world.endpoints(resources).map(({ port }) => port),
      [8080],
    );

    // It may see all, and there are none.
    agent.hidden = undefined;
    agent.set('orders');
    await world.isContent();
    assert.deepEqual(world.endpoints(resources), []);
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
  await world.says(/are not known from Consul/);
  assert.deepEqual(agent.queries, []);
  const pem = ca.certificatePem.trimEnd().replaceAll('\n', '\n    ');
  const bundle = `---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: agents, namespace: shop }\ndata:\n  ca.crt: |\n    ${pem}\n`;
  const resources = manifests(address, ', caCertificateRefs: [{ name: agents }]', bundle);
  world.discovered.with(resources);
  await world.isContent();
  assert.equal(world.endpoints(resources).length, 1);
});
