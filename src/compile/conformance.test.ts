/**
 * Every status case of the profile GATEWAY-HTTP, without a proxy: the manifests
 * of a test are compiled, its changes are made one after the other, and the
 * statuses are judged by the checks of the conformance data, with a runtime that
 * binds every port but those on the unusable address.
 *
 * The data is beside the repository (../shared/conformance). Where it is absent
 * the test says so and skips; `npm run conformance` runs the same cases through
 * the real program.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { parseAllDocuments } from 'yaml';
import type { PortStates } from '../ir/port-state.ts';
import { readManifests } from '../resource/read.ts';
import { type Compiled, Compiler } from './compile.ts';
import type { StatusItem } from './status-item.ts';

const DATA = join(import.meta.dirname, '../../../shared/conformance');
/** Tests of what gateways without a feature say, which ours are not (test/conformance/excluded.ts). */
const FOR_OTHERS = /^TLSRouteListener(?:Terminate|MixedTermination)NotSupported$/;
const CONTROLLER = 'fourways.io/gateway-controller';
const USABLE = '127.0.0.1';
const UNUSABLE = '203.0.113.1';

/** Needs what only a cluster makes. */
const KUBERNETES_ONLY = 'GatewayInfrastructure';

interface ConformanceTest {
  readonly shortName: string;
  readonly profiles: readonly string[];
  readonly baseManifests: readonly string[];
  readonly manifests: readonly string[];
  readonly cases: readonly string[];
}

interface Case {
  readonly id: string;
  readonly kind: string;
  readonly name?: string;
  readonly check: string;
  readonly op: 'patch' | 'delete' | 'create' | 'fillEndpointSlices';
  readonly object: { kind: string; namespace?: string; name: string };
  readonly mergePatch: Manifest;
  readonly manifest: Manifest;
}

interface Manifest {
  kind?: string;
  metadata?: { name: string; namespace?: string; generation?: number };
  spec?: Record<string, unknown>;
  [field: string]: unknown;
}

type Check = (
  one: Case,
  items: readonly StatusItem[],
  options: { controller: string; usable: string; unusable: string },
) => void;

interface Data {
  readonly tests: readonly ConformanceTest[];
  readonly cases: readonly Case[];
  readonly meta: { readonly generatedSecrets: readonly unknown[] };
}

if (!existsSync(join(DATA, 'cases.json'))) {
  test('conformance statuses', (t) => t.skip(`not run: ${DATA} is absent, so no status case was checked`));
} else await defineTests();

async function defineTests(): Promise<void> {
  const data = JSON.parse(readFileSync(join(DATA, 'cases.json'), 'utf8')) as Data;
  const { checks } = (await import(pathToFileURL(join(DATA, 'lib/statuscheck.mjs')).href)) as {
    checks: Record<string, Check>;
  };
  const { generateSecrets } = (await import(pathToFileURL(join(DATA, 'lib/certs.mjs')).href)) as {
    readonly generateSecrets: (specs: readonly unknown[]) => Manifest[];
  };
  const secrets = generateSecrets(data.meta.generatedSecrets);
  const cases = new Map(data.cases.map((one) => [one.id, one]));
  for (const one of data.tests.filter(
    ({ shortName }) => !shortName.startsWith('Mesh') && shortName !== KUBERNETES_ONLY && !FOR_OTHERS.test(shortName),
  )) {
    test(`conformance status: ${one.shortName}`, () => {
      const world = new World(one, secrets);
      let judged = 0;
      for (const id of one.cases) {
        const current = cases.get(id)!;
        if (current.kind === 'mutate') world.change(current);
        if (current.kind !== 'status') continue;
        judged++;
        try {
          checks[current.check]!(current, world.items(), {
            controller: CONTROLLER,
            usable: USABLE,
            unusable: UNUSABLE,
          });
        } catch (thrown) {
          throw new Error(`${id} ${current.check} ${current.name ?? ''}`, { cause: thrown });
        }
      }
      if (judged === 0) throw new Error('No status case was judged');
    });
  }
}

/** The objects of one test and the compiler that watches them. */
class World {
  readonly #manifests: Manifest[];
  readonly #secrets: readonly Manifest[];
  readonly #compiler = new Compiler({ controllerName: CONTROLLER, bindDefault: USABLE, wallMs: () => Date.now() });

  constructor({ baseManifests, manifests }: ConformanceTest, secrets: readonly Manifest[]) {
    this.#secrets = secrets;
    const files = [...baseManifests, ...manifests].flatMap((file) => load(join(DATA, 'manifests', file)));
    const gatewayClass = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GatewayClass',
      metadata: { name: 'lab' },
    };
    const all: Manifest[] = [
      ...files,
      ...structuredClone(secrets),
      { ...gatewayClass, spec: { controllerName: CONTROLLER } },
    ];
    let gateways = 0;
    for (const manifest of all) {
      if (manifest.kind === 'GatewayClass') manifest.spec!['controllerName'] = CONTROLLER;
      if (manifest.kind !== 'Gateway') continue;
      manifest.spec!['gatewayClassName'] = 'lab';
      // Many Gateways of the data have the same ports: each gets an address, as the runner does it.
      manifest.spec!['addresses'] ??= [{ type: 'IPAddress', value: `127.2.0.${++gateways}` }];
    }
    this.#manifests = all.map((manifest) => JSON.parse(this.#fill(JSON.stringify(manifest))) as Manifest);
  }

  change({ op, object, mergePatch, manifest }: Case): void {
    if (op === 'fillEndpointSlices') return;
    if (op === 'create') {
      this.#manifests.push(JSON.parse(this.#fill(JSON.stringify(manifest))) as Manifest);
      return;
    }
    const at = this.#manifests.findIndex(
      ({ kind, metadata }) =>
        kind === object.kind &&
        metadata?.name === object.name &&
        (metadata.namespace ?? '') === (object.namespace ?? ''),
    );
    if (op === 'delete') {
      this.#manifests.splice(at, 1);
      return;
    }
    const before = this.#manifests[at]!;
    const after = merge(before, JSON.parse(this.#fill(JSON.stringify(mergePatch)))) as Manifest;
    const generation = (before.metadata?.generation ?? 1) + 1;
    this.#manifests[at] = { ...after, metadata: { ...after.metadata!, generation } };
  }

  items(): readonly StatusItem[] {
    const text = this.#manifests.map((manifest) => JSON.stringify(manifest)).join('\n---\n');
    const resources = readManifests(text, 'world.yaml').documents.flatMap(({ resource }) => resource ?? []);
    const compiled = this.#compiler.compile(resources);
    return compiled.statusOf({
      bind: USABLE,
      ports: bindAll(compiled),
      appliedVersion: compiled.bundle.plan.version,
    });
  }

  #fill(text: string): string {
    return text
      .replaceAll('PLACEHOLDER_USABLE_ADDRS', USABLE)
      .replaceAll('PLACEHOLDER_UNUSABLE_ADDRS', UNUSABLE)
      .replaceAll(/\{\{configmap:([^/]+)\/([^:]+):([^}]+)\}\}/g, (_, namespace, name, key) => {
        const found = this.#secrets.find(
          ({ kind, metadata }) => kind === 'ConfigMap' && metadata?.namespace === namespace && metadata?.name === name,
        );
        const value = (found!['data'] as Record<string, string>)[key as string]!;
        return JSON.stringify(value).slice(1, -1);
      });
  }
}

function load(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).flatMap((document) => {
    const manifest = document.toJSON() as Manifest | null;
    return manifest === null ? [] : [manifest];
  });
}

/** JSON merge patch (RFC 7396). */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const out: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = merge(out[key], value);
  }
  return out;
}

function bindAll({ bundle }: Compiled): PortStates {
  return Object.fromEntries(
    Object.entries(bundle.plan.ports).map(([key, { address, port }]) => [
      key,
      address === UNUSABLE
        ? {
            state: 'failed',
            address,
            port,
            error: 'EADDRNOTAVAIL',
            message: `Cannot bind ${key}: address not available`,
          }
        : { state: 'bound', address: address === '*' ? USABLE : address, port },
    ]),
  );
}
