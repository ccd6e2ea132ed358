import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AskEnd, Asker } from '../base/asking.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { type Askable, isChosen, Survey, type SurveyLine, type SurveyOptions } from './survey.ts';

/** A proxy that keeps whoever asks, and says what the test says. */
class Kept implements Askable {
  readonly role = 'sidecar';
  readonly instance: string;
  readonly identity: string;
  readonly services: readonly string[];
  readonly askers: Asker[] = [];
  taken = 0;

  constructor(name: string, instance = `${name}-1`) {
    this.instance = instance;
    this.identity = `spiffe://td/ns/shop/sa/${name}`;
    this.services = [`shop/${name}`];
  }

  readonly ask: Askable['ask'] = (_, asker) => {
    this.askers.push(asker);
    return () => this.taken++;
  };
}

/** One that ends as soon as it is asked. */
function ending(name: string, end: AskEnd): Askable {
  const { instance, identity, services } = new Kept(name);
  const ask: Askable['ask'] = (_, asker) => (asker.end(end), () => undefined);
  return { role: 'sidecar', instance, identity, services, ask };
}

interface Heard {
  readonly clock: ManualClock;
  readonly survey: Survey;
  readonly lines: SurveyLine[];
  overs: number;
  /** Whether whoever reads takes more. */
  takes: boolean;
}

function surveyOf(options: Partial<SurveyOptions> = {}): Heard {
  const heard = { clock: new ManualClock(), lines: [] as SurveyLine[], overs: 0, takes: true };
  const survey = new Survey({
    clock: heard.clock,
    ask: { topic: 't', body: {} },
    nature: 'ends',
    bounds: { ms: 10_000, rows: 100, chars: 10_000 },
    rowsOf: (answer) => (answer as { rows?: unknown[] }).rows?.length ?? 0,
    say: (line) => {
      if (heard.takes || line.kind === 'over') heard.lines.push(line);
      return heard.takes;
    },
    onOver: () => heard.overs++,
    ...options,
  });
  return Object.assign(heard, { survey });
}

function lastOf({ lines }: Heard): Extract<SurveyLine, { kind: 'over' }> {
  const last = lines.at(-1)!;
  assert.equal(last.kind, 'over');
  return last as Extract<SurveyLine, { kind: 'over' }>;
}

test('Survey: who is asked, what each says, and then that it is over', () => {
  const heard = surveyOf();
  const [a, b] = [new Kept('a'), new Kept('b')];
  heard.survey.begin([a, b]);
  b.askers[0]!.answer({ rows: [1] }, 2);
  b.askers[0]!.end({ kind: 'done' });
  a.askers[0]!.end({ kind: 'done' });
  a.askers[0]!.answer({ rows: [2] }, 0);
  assert.deepEqual(heard.lines, [
    {
      kind: 'asked',
      proxies: [a, b].map(({ instance, identity, role, services }) => ({ instance, identity, role, services })),
    },
    { kind: 'answer', proxy: 'b-1', answer: { rows: [1] }, lost: 2 },
    { kind: 'over', why: 'done', lost: 2, unheard: [] },
  ]);
  assert.equal(heard.overs, 1);
});

test('Survey: who ends otherwise, or says nothing in time, is named', () => {
  const heard = surveyOf();
  const silent = new Kept('b');
  heard.survey.begin([
    ending('a', { kind: 'unsupported', reason: 'What is that?' }),
    silent,
    ending('c', { kind: 'done' }),
  ]);
  heard.clock.advance(10_000);
  const { why, unheard } = lastOf(heard);
  assert.equal(why, 'time');
  assert.deepEqual(
    unheard.map(({ proxy, kind }) => [proxy, kind]),
    [
      ['a-1', 'unsupported'],
      ['b-1', 'silent'],
    ],
  );
  assert.equal(silent.taken, 1);
});

test('Survey: thousands that end at once are asked one behind the other, and nobody twice', () => {
  const heard = surveyOf();
  heard.survey.begin(Array.from({ length: 20_000 }, (_, i) => ending(`p${i}`, { kind: 'done' })));
  assert.deepEqual([lastOf(heard).why, heard.overs], ['done', 1]);
});

test('Survey: so many are asked at a time; the others after them', () => {
  const heard = surveyOf();
  const all = Array.from({ length: 70 }, (_, i) => new Kept(`p${i}`));
  heard.survey.begin(all);
  assert.equal(all.filter(({ askers }) => askers.length === 1).length, 64);
  for (const { askers } of all.slice(0, 6)) askers[0]!.end({ kind: 'done' });
  assert.ok(all.every(({ askers }) => askers.length === 1));
});

const BOUNDS: [why: string, answer: object][] = [
  ['rows', { rows: Array.from({ length: 100 }, () => 1) }],
  ['size', { rows: ['x'.repeat(10_000)] }],
];

for (const [why, answer] of BOUNDS) {
  test(`Survey: what brings more than its bound of ${why} is over, and everybody may stop`, () => {
    const heard = surveyOf({ nature: 'lasts' });
    const [a, b] = [new Kept('a'), new Kept('b')];
    heard.survey.begin([a, b]);
    a.askers[0]!.answer(answer, 0);
    const over = lastOf(heard);
    assert.deepEqual([over.why, over.unheard.map(({ proxy }) => proxy)], [why, ['b-1']]);
    assert.deepEqual([a.taken, b.taken, heard.overs], [1, 1, 1]);
  });
}

test('Survey: answers that nobody takes fast enough are lost, and counted', () => {
  const heard = surveyOf({ nature: 'lasts' });
  const a = new Kept('a');
  heard.survey.begin([a]);
  heard.takes = false;
  a.askers[0]!.answer({}, 3);
  a.askers[0]!.answer({}, 0);
  heard.takes = true;
  heard.clock.advance(10_000);
  assert.equal(lastOf(heard).lost, 5);
});

test('Survey: one that comes while it lasts is asked, one that comes after it is not', () => {
  const heard = surveyOf({ nature: 'lasts' });
  const [a, late, later] = [new Kept('a'), new Kept('late'), new Kept('later')];
  heard.survey.begin([a]);
  heard.survey.joined(late);
  assert.equal(late.askers.length, 1);
  heard.clock.advance(10_000);
  heard.survey.joined(later);
  assert.equal(later.askers.length, 0);
});

test('Survey: when nobody listens any more, no proxy is asked any longer and nothing is said', () => {
  const heard = surveyOf({ nature: 'lasts' });
  const a = new Kept('a');
  heard.survey.begin([a]);
  heard.survey.close();
  heard.survey.close();
  a.askers[0]!.answer({}, 0);
  heard.clock.advance(60_000);
  assert.deepEqual([a.taken, heard.lines.length, heard.overs], [1, 1, 0]);
});

test('Survey: while nothing happens it says that it is alive', () => {
  const heard = surveyOf({ nature: 'lasts' });
  heard.survey.begin([new Kept('a')]);
  heard.clock.advance(5_000);
  assert.equal(heard.lines.at(-1)!.kind, 'alive');
});

const CHOICES: [Parameters<typeof isChosen>[1], string[]][] = [
  [{}, ['orders', 'web', 'edge']],
  [{ service: 'orders' }, ['orders']],
  [{ service: 'orders.shop' }, ['orders']],
  [{ service: 'orders.other' }, []],
  [{ namespace: 'shop' }, ['orders', 'web']],
  [{ namespace: 'shop', service: 'web' }, ['web']],
  [{ proxy: 'web-' }, ['web']],
  [{ proxy: 'spiffe://td/ns/shop/sa/orders' }, ['orders']],
];

for (const [choice, want] of CHOICES) {
  test(`isChosen ${JSON.stringify(choice)}`, () => {
    const edge: Askable = { ...ending('x', { kind: 'done' }), instance: 'edge', identity: '', services: [] };
    const all = { orders: new Kept('orders'), web: new Kept('web'), edge };
    assert.deepEqual(
      Object.entries(all).flatMap(([name, one]) => (isChosen(one, choice) ? [name] : [])),
      want,
    );
  });
}
