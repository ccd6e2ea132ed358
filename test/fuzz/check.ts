/** What must hold for any bytes at all. Each function says what is wrong, or undefined. */
import { explain } from './differences.ts';
import { readWithNodeClient, readWithNodeServer } from './node-side.ts';
import { readWithOurClient } from './our-client.ts';
import { readWithOurServer } from './our-server.ts';
import { cutAt, everyByte, type Reading } from './reading.ts';

/** @param cuts  where else to cut the bytes than between every two */
export async function checkRequestBytes(bytes: Buffer, cuts: readonly number[]): Promise<string | undefined> {
  const whole = await readWithOurServer([bytes]);
  const apart = await readWithOurServer(everyByte(bytes));
  const some = await readWithOurServer(cutAt(bytes, cuts));
  return differs(whole, apart) ?? differs(whole, some) ?? disagrees(bytes, whole, await readWithNodeServer(bytes));
}

export async function checkAnswerBytes(bytes: Buffer, cuts: readonly number[]): Promise<string | undefined> {
  const whole = await readWithOurClient([bytes], 'closes');
  const apart = await readWithOurClient(everyByte(bytes), 'closes');
  const some = await readWithOurClient(cutAt(bytes, cuts), 'closes');
  return (
    differs(whole, apart) ?? differs(whole, some) ?? disagrees(bytes, whole, await readWithNodeClient(bytes, 'closes'))
  );
}

/** The same bytes in other pieces: the reason of a refusal may be another one, but not what was taken. */
function differs(a: Reading, b: Reading): string | undefined {
  const same =
    JSON.stringify(a.messages) === JSON.stringify(b.messages) &&
    (a.refused === undefined) === (b.refused === undefined);
  return same ? undefined : `Cut differently, read differently:\n  ${show(a)}\n  ${show(b)}`;
}

function disagrees(bytes: Buffer, ours: Reading, node: Reading): string | undefined {
  if (explain(bytes, ours, node) !== undefined) return undefined;
  return `Read differently by Node:\n  we:   ${show(ours)}\n  Node: ${show(node)}`;
}

function show({ messages, refused, begun }: Reading): string {
  return `${refused ?? 'taken'}${begun ? ', one under way' : ''}: ${JSON.stringify(messages).slice(0, 500)}`;
}
