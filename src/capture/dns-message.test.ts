import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerTo, isAnswerTo, type Question, RCODES, readQuestion, refusalOf, withId } from './dns-message.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** `orders.shop`, type A, class IN, as a client of libc asks it. */
const NAME = '06 6f7264657273 04 73686f70 00';
const QUERY = hex(`abcd 0100 0001 0000 0000 0000 ${NAME} 0001 0001`);
const WITH_OPTIONS = hex(`abcd 0120 0001 0000 0000 0001 ${NAME} 0001 0001 00 0029 04d0 0000 8000 0000`);

test('a question is read, with what it wants', () => {
  const question = readQuestion(QUERY) as Question;
  assert.deepEqual(question, {
    id: 0xabcd,
    name: 'orders.shop',
    type: 1,
    isInternet: true,
    end: QUERY.length,
    recursionDesired: true,
    hasOptions: false,
  });
  assert.equal((readQuestion(WITH_OPTIONS) as Question).hasOptions, true);
});

const label = (bytes: number): string => `${bytes.toString(16).padStart(2, '0')} ${'61'.repeat(bytes)}`;

const OTHER: [rule: string, bytes: string, want: string | number | undefined][] = [
  ['upper case is lower case', 'abcd 0100 0001 0000 0000 0000 03 464F6f 00 001c 0001', 'foo'],
  ['the root', 'abcd 0100 0001 0000 0000 0000 00 0002 0001', ''],
  ['a dot in a label is no dot between two', 'abcd 0100 0001 0000 0000 0000 03 612e62 00 0001 0001', undefined],
  ['a byte that no host name has', 'abcd 0100 0001 0000 0000 0000 01 00 00 0001 0001', undefined],
];

for (const [rule, bytes, want] of OTHER) {
  test(`a question: ${rule}`, () => assert.equal((readQuestion(hex(bytes)) as Question).name, want));
}

const REFUSED: [rule: string, bytes: string, want: number | undefined][] = [
  ['cut off in the header', 'abcd 0100 0001', undefined],
  ['an answer', 'abcd 8180 0001 0000 0000 0000 00 0001 0001', undefined],
  ['a notify', 'abcd 2000 0001 0000 0000 0000 00 0001 0001', RCODES.notImplemented],
  ['no question', 'abcd 0100 0000 0000 0000 0000', RCODES.malformed],
  ['two questions', 'abcd 0100 0002 0000 0000 0000 00 0001 0001 00 0001 0001', RCODES.malformed],
  ['a query with an answer', 'abcd 0100 0001 0001 0000 0000 00 0001 0001', RCODES.malformed],
  ['a pointer to itself', 'abcd 0100 0001 0000 0000 0000 c00c 0001 0001', RCODES.malformed],
  ['a label of 64', `abcd 0100 0001 0000 0000 0000 ${label(64)} 00 0001 0001`, RCODES.malformed],
  ['a name without an end', 'abcd 0100 0001 0000 0000 0000 03 616161', RCODES.malformed],
  ['a label that is cut off', 'abcd 0100 0001 0000 0000 0000 05 6161', RCODES.malformed],
  ['no type', 'abcd 0100 0001 0000 0000 0000 01 61 00 00', RCODES.malformed],
  [
    'a name of 256',
    `abcd 0100 0001 0000 0000 0000 ${label(63).repeat(3)} ${label(62)} 00 0001 0001`,
    // 3 * 64 + 63 + 1 = 256: one more than RFC 1035 section 3.1 has.
    RCODES.malformed,
  ],
];

for (const [rule, bytes, want] of REFUSED) {
  test(`refused: ${rule}`, () => assert.equal(readQuestion(hex(bytes)), want));
}

test('a name of 255 bytes is one', () => {
  const read = readQuestion(hex(`abcd 0100 0001 0000 0000 0000 ${label(63).repeat(3)} ${label(61)} 00 0001 0001`));
  assert.equal((read as Question).name?.length, 253);
});

test('every cut and every flipped bit of a query is answered, or not, and never throws', () => {
  for (let at = 0; at < WITH_OPTIONS.length; at++) {
    readQuestion(WITH_OPTIONS.subarray(0, at));
    for (let bit = 0; bit < 8; bit++) {
      const bent = Buffer.from(WITH_OPTIONS);
      bent[at]! ^= 1 << bit;
      const read = readQuestion(bent);
      if (typeof read === 'object') answerTo(bent, read, { addresses: ['127.240.0.1'], ttlS: 30 });
      else if (typeof read === 'number') refusalOf(bent, read);
    }
  }
});

test('answers are to the byte', () => {
  const question = readQuestion(QUERY) as Question;
  const answer = answerTo(QUERY, question, { addresses: ['127.240.1.2'], ttlS: 30 });
  const want = `abcd 8580 0001 0001 0000 0000 ${NAME} 0001 0001 c00c 0001 0001 0000001e 0004 7ff00102`;
  assert.equal(Buffer.from(answer).toString('hex'), want.replaceAll(' ', ''));
  const asked = readQuestion(WITH_OPTIONS) as Question;
  const empty = answerTo(WITH_OPTIONS, asked, { addresses: [], ttlS: 30 });
  const options = '00 0029 04d0 00000000 0000';
  const none = `abcd 8580 0001 0000 0000 0001 ${NAME} 0001 0001 ${options}`;
  assert.equal(Buffer.from(empty).toString('hex'), none.replaceAll(' ', ''));
  assert.equal(
    Buffer.from(refusalOf(QUERY, RCODES.failed, question))
      .toString('hex')
      .slice(4, 8),
    '8182',
  );
  assert.equal(Buffer.from(refusalOf(QUERY, RCODES.malformed)).toString('hex'), 'abcd81810000000000000000');
});

test('what is taken for an answer has the id and the question', () => {
  const question = readQuestion(QUERY) as Question;
  const answer = answerTo(QUERY, question, { addresses: [], ttlS: 1 });
  const { end } = question;
  assert.equal(isAnswerTo(QUERY, end, answer), true);
  assert.equal(isAnswerTo(QUERY, end, withId(answer, 1)), false);
  assert.equal(isAnswerTo(QUERY, end, QUERY), false);
  const other = Buffer.from(answer);
  other[13]! ^= 1;
  assert.equal(isAnswerTo(QUERY, end, other), false);
  assert.equal(isAnswerTo(QUERY, end, refusalOf(QUERY, RCODES.failed)), true);
  assert.equal(isAnswerTo(QUERY, end, answer.subarray(0, 5)), false);
});
