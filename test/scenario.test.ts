/**
 * Plays every `scenario/*.scenario.yaml` against the real program: one process,
 * a Gateway for each file, a host and an upstream for each case. Each case runs
 * twice: everything in one piece, and byte by byte.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { DOOR_HOST, Fourways, freePort, hasEntry } from './client/fourways.ts';
import {
  gateway,
  gatewayClass,
  httpRoute,
  type Manifest,
  prefixRule,
  service,
  writeManifests,
} from './client/manifests.ts';
import { answering, echo, type Origin, startOrigin } from './client/origin.ts';
import { RawClient } from './client/raw-client.ts';
import { play, Signals, type Stage, type Step } from './scenario/script.ts';

interface Case {
  readonly name: string;
  /**
   * `echo` (the default) answers what it saw; `none` must not be reached; `any` echoes and may be treated in any way;
   * a list has one script per connection.
   */
  readonly upstream?: 'echo' | 'none' | 'any' | readonly (readonly Step[])[];
  readonly client: readonly Step[];
  /** Only in one piece: for cases about time or about how pieces meet. */
  readonly cut?: 'whole';
}

interface ScenarioFile {
  readonly about: string;
  /** `listener` of a Policy for the Gateway of this file. */
  readonly listener?: Manifest;
  /** Spec of a BackendPolicy for the upstreams of this file. */
  readonly backend?: Manifest;
  /** Fields of every rule beside matches and backendRefs. */
  readonly rule?: Manifest;
  readonly cases: readonly Case[];
}

const FOLDER = new URL('scenario/', import.meta.url);
const PATIENCE_MS = 15_000;

type Cut = Stage['cut'];

interface Prepared {
  readonly file: string;
  readonly scenario: ScenarioFile;
  readonly port: number;
}

/** Each run of a case has an upstream of its own; its scripts are set when the case starts. */
interface Backstage {
  readonly origin: Origin;
  script: ((steps: number) => readonly Step[] | 'echo') | undefined;
  stage: Stage;
}

const files = readdirSync(FOLDER).filter((name) => name.endsWith('.scenario.yaml'));
if (files.length === 0) throw new Error('Cannot test scenarios: no file found');

const dir = mkdtempSync(join(tmpdir(), 'fourways-scenario-'));
const prepared: Prepared[] = [];
const backstages = new Map<string, Backstage>();
let program: Fourways | undefined;

for (const file of files) {
  const scenario = parse(readFileSync(new URL(file, FOLDER), 'utf8')) as ScenarioFile;
  prepared.push({ file, scenario, port: await freePort(DOOR_HOST) });
}

before(async () => {
  for (const [nth, one] of prepared.entries()) await writeConfig(nth, one);
  writeManifests(dir, 'class.yaml', [gatewayClass()]);
  program = await Fourways.start({ config: dir, workers: 1, logLevel: 'warn' });
});

after(async () => {
  await program?.stop();
  for (const { origin } of backstages.values()) await origin.close();
  rmSync(dir, { recursive: true, force: true });
});

for (const [nth, { file, scenario, port }] of prepared.entries()) {
  describe(`${file}: ${scenario.about}`, { skip: hasEntry('source') ? false : 'the program is not there yet' }, () => {
    for (const [i, one] of scenario.cases.entries()) {
      for (const cut of cutsOf(one)) {
        test(cut === 'whole' ? one.name : `${one.name}, byte by byte`, () =>
          runCase(one, { port, host: hostOf(nth, i, cut), cut }),
        );
      }
    }
  });
}

async function runCase(
  one: Case,
  { port, host, cut }: { readonly port: number; readonly host: string; readonly cut: Cut },
): Promise<void> {
  const backstage = backstages.get(host)!;
  const stage = { host, cut, signals: new Signals() };
  const upstream = one.upstream ?? 'echo';
  const before_ = backstage.origin.accepted;
  const failed = backstage.origin.errors.length;
  backstage.stage = stage;
  backstage.script = (nth) => (typeof upstream === 'string' ? 'echo' : (upstream[nth - before_] ?? []));
  await using client = await RawClient.open({ host: DOOR_HOST, port, patienceMs: PATIENCE_MS });
  await play(client, one.client, stage).catch((error: Error) => {
    const of = backstage.origin.errors.slice(failed).map(({ message }) => message);
    throw of.length === 0 ? error : new Error(`${error.message}; upstream: ${of.join('; ')}`, { cause: error });
  });
  assert.equal(client.pending.toString('latin1'), '', 'Bytes that nobody asked for');
  if (upstream === 'none') assert.equal(backstage.origin.accepted, before_, 'The upstream was reached');
  if (typeof upstream !== 'string') {
    const played = backstage.origin.accepted - before_;
    assert.equal(played, upstream.length, `Upstream connections`);
    await stage.signals.take(`played ${before_ + upstream.length - 1}`, PATIENCE_MS).catch(() => undefined);
  }
  if (upstream !== 'any') assert.deepEqual(backstage.origin.errors.slice(failed), []);
}

async function writeConfig(nth: number, { scenario, port }: Prepared): Promise<void> {
  const name = `gw${nth}`;
  const manifests: Manifest[] = [gateway({ name, port })];
  if (scenario.listener !== undefined) {
    manifests.push(policy('Policy', { kind: 'Gateway', name }, { listener: scenario.listener }));
  }
  // A host and an upstream for each run: none meets a connection that another left behind.
  const hosts = scenario.cases.flatMap((one, i) => cutsOf(one).map((cut) => hostOf(nth, i, cut)));
  for (const host of hosts) {
    const [label] = host.split('.');
    const backstage = await openBackstage();
    backstages.set(host, backstage);
    const rules = [prefixRule('/', label!, scenario.rule)];
    manifests.push(httpRoute({ name: label!, gateway: name, hostnames: [host], rules }));
    manifests.push(...service(label!, [backstage.origin]));
    if (scenario.backend !== undefined) {
      manifests.push(policy('BackendPolicy', { kind: 'Service', name: label! }, scenario.backend));
    }
  }
  writeManifests(dir, `${name}.yaml`, manifests);
}

async function openBackstage(): Promise<Backstage> {
  const echoing = answering(echo);
  const origin = await startOrigin(async (connection) => {
    const script = backstage.script?.(connection.index) ?? 'echo';
    if (script === 'echo') return echoing(connection);
    const { stage } = backstage;
    connection.patienceMs = PATIENCE_MS;
    await play(connection, script, stage);
    stage.signals.give(`played ${connection.index}`);
  });
  const backstage: Backstage = {
    origin,
    script: undefined,
    stage: { host: '', cut: 'whole', signals: new Signals() },
  };
  return backstage;
}

function policy(kind: string, target: { readonly kind: string; readonly name: string }, spec: Manifest): Manifest {
  return {
    apiVersion: 'fourways.io/v1alpha1',
    kind,
    metadata: { name: `p-${target.name}`, namespace: 'default' },
    spec: { targetRefs: [target], ...spec },
  };
}

function cutsOf(one: Case): readonly Cut[] {
  return one.cut === 'whole' ? ['whole'] : ['whole', 'pieces'];
}

function hostOf(file: number, nth: number, cut: Cut): string {
  return `${cut}-${nth}-${file}.test`;
}
