import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AskEnd, Asker } from '../base/asking.ts';
import { FleetAsks } from './fleet-asks.ts';
import { FakeMember } from './testing/fake-member.ts';

const ASK = { topic: 't', body: {} };

function hearing(): Asker & { readonly answers: object[]; readonly ends: AskEnd[] } {
  const answers: object[] = [];
  const ends: AskEnd[] = [];
  return { answers, ends, answer: (body) => void answers.push(body), end: (end) => void ends.push(end) };
}

const membersOf = (count: number, endsAsks: boolean): FakeMember[] =>
  Array.from({ length: count }, (_, i) => Object.assign(new FakeMember(i + 1), { endsAsks }));

test('FleetAsks: every member answers, and the last end is the end', () => {
  const heard = hearing();
  new FleetAsks().ask(ASK, heard, membersOf(3, true));
  assert.deepEqual(
    heard.answers,
    [1, 2, 3].map((worker) => ({ worker, topic: 't' })),
  );
  assert.deepEqual(heard.ends, [{ kind: 'done' }]);
});

test('FleetAsks: one that dies ends nothing for the others; one that replaces it is asked', async () => {
  const asks = new FleetAsks();
  const heard = hearing();
  const members = membersOf(2, false);
  asks.ask(ASK, heard, members);
  members[0]!.die('it fell over');
  await Promise.resolve();
  const [third] = membersOf(1, false);
  asks.joined(third!);
  assert.deepEqual([heard.answers.length, heard.ends.length], [3, 0]);
  members[1]!.die('it fell over');
  third!.die('it fell over');
  await Promise.resolve();
  assert.deepEqual(heard.ends, [{ kind: 'gone', reason: 'it fell over' }]);
});

test('FleetAsks: what is taken back is taken back from all', () => {
  const heard = hearing();
  const members = membersOf(2, false);
  const takeBack = new FleetAsks().ask(ASK, heard, members);
  takeBack();
  takeBack();
  assert.deepEqual(
    members.map(({ takenBack }) => takenBack.length),
    [1, 1],
  );
  assert.equal(heard.ends.length, 0);
});

test('FleetAsks: with nobody there it is over at once', () => {
  const heard = hearing();
  new FleetAsks().ask(ASK, heard, []);
  assert.deepEqual(heard.ends[0]?.kind, 'gone');
});
