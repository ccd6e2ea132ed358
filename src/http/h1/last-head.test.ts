import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { Headers } from '../headers.ts';
import { type FoundHead, HeadCollector } from './head-collector.ts';
import { LastHead } from './last-head.ts';
import { emptyFacts, parseRequestHead } from './parse-head.ts';

const HEAD = 'GET /a HTTP/1.1\r\nHost: a.test\r\nX-One: 1\r\nConnection: x-two\r\nX-Two: 2\r\n\r\n';

function find(text: string): FoundHead {
  const found = new HeadCollector(8_192, 32_768).take(Buffer.from(text, 'latin1'));
  assert.ok(found !== 'more' && !(found instanceof Fault));
  return found;
}

function readInto(headers: Headers, text: string): FoundHead {
  const found = find(text);
  const into = { facts: emptyFacts(), headers, limits: { headersMax: 100 } };
  assert.equal(parseRequestHead(found.text, found, into), undefined);
  return found;
}

// Each row: what was done with the fields of the first head, what came next, and whether that is read from memory.
const ROWS: [rule: string, edit: (headers: Headers) => void, next: string, want: boolean][] = [
  ['the same head again', () => undefined, HEAD, true],
  ['with a body behind it', () => undefined, `${HEAD}body`, true],
  ['fields that were added are gone again', (headers) => headers.add('X-Added', '1'), HEAD, true],
  ['a field that was removed is there again', (headers) => headers.delete('x-one'), HEAD, true],
  ['so is one of the connection, and is as it was', (headers) => headers.delete('x-two'), HEAD, true],
  ['and one that was replaced has its own value', (headers) => headers.set('X-One', '3'), HEAD, true],
  ['also in another spelling', (headers) => headers.deleteAlike('x_one'), HEAD, true],
  ['another head of the same length', () => undefined, HEAD.replace('X-One: 1', 'X-One: 2'), false],
  ['a longer one that begins the same', () => undefined, HEAD.replace('\r\n\r\n', '\r\nX-More: 1\r\n\r\n'), false],
  ['a shorter one', () => undefined, 'GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n', false],
  ['an empty line before it', () => undefined, `\r\n${HEAD}`, false],
];

for (const [rule, edit, next, want] of ROWS) {
  test(`LastHead: ${rule}`, () => {
    const headers = new Headers();
    const last = new LastHead();
    last.keep(readInto(headers, HEAD));
    edit(headers);
    assert.equal(last.isSame(find(next), headers), want);
    if (!want) return;
    const fresh = new Headers();
    readInto(fresh, next);
    assert.equal(headers.toLines(), fresh.toLines());
    assert.equal(headers.get('x-added'), undefined);
    assert.deepEqual([headers.get('x-one'), headers.get('x-two')], ['1', '2']);
  });
}

test('LastHead: nothing is the same after it was told to forget, or before anything was read', () => {
  const headers = new Headers();
  const last = new LastHead();
  assert.equal(last.isSame(find(HEAD), headers), false);
  last.keep(readInto(headers, HEAD));
  last.forget();
  assert.equal(last.isSame(find(HEAD), headers), false);
});

test('LastHead: long texts are not kept', () => {
  const headers = new Headers();
  const last = new LastHead();
  const long = HEAD.replace('X-One: 1', `X-One: ${'1'.repeat(2_048)}`);
  last.keep(readInto(headers, long));
  assert.equal(last.isSame(find(long), headers), false);
});
