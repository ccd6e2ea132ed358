/**
 * Golden tests of the compiler: `testdata/NAME.in.yaml` is what an operator
 * wrote, `testdata/NAME.out.json` the problems, the plan and the statuses that
 * it must give, with all ports bound; and the plans of the sidecars that it names
 * in comments: `# sidecar NAME: {...}`, a MeshConsumer in JSON. What is empty or as by default is
 * left out (testing/condense.ts). A new case is a new file. `npm run golden`
 * rewrites the outputs; the diff is the review.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { formatProblem } from '../base/problem.ts';
import { checkPlan } from '../ir/check.ts';
import { readManifests } from '../resource/read.ts';
import { type Compiled, Compiler } from './compile.ts';
import { condensePlan, condenseStatus } from './testing/condense.ts';
import type { MeshConsumer } from './sidecar-plan.ts';
import { BIND, runtimeOf } from './testing/runtime.ts';

const TESTDATA = new URL('./testdata/', import.meta.url);
const NOW_MS = Date.parse('2027-01-01T00:00:00Z');

for (const file of readdirSync(TESTDATA).filter((name) => name.endsWith('.in.yaml'))) {
  const name = file.slice(0, -'.in.yaml'.length);
  test(`compile: ${name}`, (t) => {
    const text = readFileSync(new URL(file, TESTDATA), 'utf8');
    const read = readManifests(text, 'in.yaml');
    assert.deepEqual(read.problems.map(formatProblem), [], 'the input is read without problems');
    const compiler = new Compiler({
      controllerName: 'fourways.io/gateway-controller',
      bindDefault: BIND,
      wallMs: () => nowMsOf(text),
      meshRoots: () => (name.startsWith('mesh') ? ROOTS : NONE),
    });
    const resources = read.documents.flatMap(({ resource }) => resource ?? []);
    const first = compiler.compile(resources);
    const compiled = compiler.compile(resources);
    assert.deepEqual(checkPlan(compiled.bundle), [], 'a proxy takes the plan');
    assert.equal(compiled.bundle, first.bundle, 'the same resources give the same bundle');
    t.assert.fileSnapshot(
      {
        problems: compiled.problems.map((problem) => formatProblem(problem).split('\n')),
        plan: condensePlan(compiled.withPlaces(compiled.bundle.plan)),
        secrets: Object.keys(compiled.bundle.secrets),
        ...sidecarPlans(text, compiled),
        status: condenseStatus(compiled.statusOf(runtimeOf(compiled))),
      },
      new URL(`${name}.out.json`, TESTDATA).pathname,
    );
  });
}

const ROOTS = ['the roots'];
const NONE: readonly string[] = [];

function sidecarPlans(text: string, { mesh }: Compiled): { sidecars?: Record<string, unknown> } {
  const plans = [...text.matchAll(/^# sidecar (\S+): (\{.*\})$/gm)].map(([, name, json]) => {
    const consumer = JSON.parse(json!) as MeshConsumer;
    const bundle = mesh.planOf(consumer);
    assert.deepEqual(checkPlan(bundle), [], `sidecar ${name} takes its plan`);
    assert.equal(mesh.planOf(consumer, bundle), bundle, 'nothing new is the same bundle');
    const { plan, secrets } = bundle;
    const keys = Object.keys(secrets);
    return [name!, { ...(condensePlan(plan) as object), ...(keys.length > 0 && { secrets: keys }) }] as const;
  });
  return plans.length === 0 ? {} : { sidecars: Object.fromEntries(plans) };
}

/** `# now: 2130-01-01` on top of an input moves the clock. */
function nowMsOf(text: string): number {
  const day = /^# now: (\S+)$/m.exec(text)?.[1];
  return day === undefined ? NOW_MS : Date.parse(day);
}
