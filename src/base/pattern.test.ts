/** Patterns of schemas: looked for anywhere in a text, with lookaround and Unicode, in linear time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REGEX_LOOK_WORK_MAX } from './limits.ts';
import { seededRandom } from './random.ts';
import { compilePattern } from './safe-regex.ts';
import { randomSource } from './testing/random-regex.ts';

const MATCHES: [rule: string, source: string, yes: string[], no: string[]][] = [
  ['a part is enough', 'b+', ['b', 'abc'], ['', 'ac']],
  ['anchors hold at both ends of the text', '^ab$', ['ab'], ['xab', 'abx', 'a\nab']],
  ['nothing is in every text', '', ['', 'a'], []],
  ['what follows', 'a(?=b)', ['ab', 'xab'], ['a', 'ac', 'ba']],
  ['what does not follow', '^(?!aws:).+$', ['a', 'aws', 'xaws:'], ['', 'aws:', 'aws:x']],
  ['what is before', '(?<=\\$)\\d', ['$1', 'a$1'], ['1', '$a1']],
  ['what is not before', '(?<!\\$)\\b\\d+', ['1', 'a 1'], ['$1', '']],
  ['in a repeat', '^[a-z]((?!--)[a-z-])+$', ['ab-c'], ['a--b', 'a', '-a']],
  ['several of one place', '^(?=.{3,5}$)(?=.*\\d)(?=.*[a-z])', ['a1b', '1234a'], ['a1', 'abc', '12345a']],
  ['in one another', '^(?!a(?!b)).', ['b', 'ab'], ['a', 'ac', '']],
  ['in one another, both ways', 'c(?<=^(?:(?!bb).)*)', ['abc', 'c'], ['abbc', '']],
  ['the end of what is before', '(?<=^ab?)c', ['ac', 'abc'], ['c', 'bc', 'xac']],
  ['ends and boundaries that are looked for', '(?<=\\b)a(?=$|\\b)', ['a', 'x a', 'a x'], ['ab', 'ba']],
  ['lookaround that is a group of its own may be repeated', '^((?=a))*b?a', ['a', 'ba'], ['', 'b']],
  ['flags end with the lookaround', '^(?=(?i)A)a', ['a'], ['A']],
  ['letters of all scripts', '^\\p{L}+$', ['aé', 'Жλ', '漢字', '\u{20000}'], ['a1', '', '😀']],
  ['no letters', '^\\P{L}$', ['1', '😀'], ['a', '漢']],
  ['in classes', '^[\\p{L}\\p{Nd}_-]+$', ['añ_9-', '٣'], ['a b']],
  ['negated', '^[^\\p{L}]\\p{^L}$', ['1😀'], ['a1', '1a']],
  ['short names, long names, scripts', '^\\pL\\p{Letter}\\p{Script=Greek}\\p{Greek}$', ['aaαβ'], ['aaaβ']],
  ['a character is one, however many units it has', '^.{2}[😀-😂]$', ['a😀😁'], ['😀😁', 'ab😃']],
  ['characters by number', '^\\u{1f600}\\x{1F600}\\ud83d\\ude00$', ['😀😀😀'], ['😀']],
  ['counts of lengths', '^.{2,2000}$', ['a'.repeat(2_000)], ['a', 'a'.repeat(2_001)]],
  ['half a pair is itself', '^\\ud83d.$', ['\ud83da'], ['😀']],
];

for (const [rule, source, yes, no] of MATCHES) {
  test(`compilePattern: ${rule}`, () => {
    const pattern = compilePattern(source);
    assert.ok(pattern.ok, JSON.stringify(pattern));
    for (const text of yes) assert.equal(pattern.test(text), true, `${source} is in ${JSON.stringify(text)}`);
    for (const text of no) assert.equal(pattern.test(text), false, `${source} is not in ${JSON.stringify(text)}`);
  });
}

const REFUSALS: [rule: string, source: string, message: RegExp, offset: number][] = [
  ['a backreference in a lookahead', '(?=(a)\\1)', /Backreferences/, 6],
  ['a lookahead without an end', 'a(?=b', /Unmatched "\("/, 1],
  ['a repeated lookahead', '(?=a)*', /Nothing to repeat/, 5],
  ['a lookahead that grows too large', '(?=((a{1,900}){1,9}))', /too large/, 6],
  ['a count that grows too large', '^a{0,4000}', /too large: more than 4096/, 2],
  ['a count that is too large', 'a{5000}', /at most 4096/, 1],
  ['a property that is not there', '\\p{Print}', /Unicode class is not known: "\\p\{Print\}"/, 0],
  ['a character that is not there', '\\x{110000}', /none of Unicode/, 0],
];

for (const [rule, source, message, offset] of REFUSALS) {
  test(`compilePattern refuses: ${rule}`, () => {
    const refused = compilePattern(source);
    assert.ok(!refused.ok);
    assert.match(refused.message, message);
    assert.equal(refused.offset, offset);
  });
}

/** Asked at each character: by itself V8 also begins between the halves of one, which ECMA-262 does not (RegExpBuiltinExec). */
function isIn(sticky: RegExp, text: string): boolean {
  for (let at = 0; at <= text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) {
    sticky.lastIndex = at;
    if (sticky.test(text)) return true;
  }
  return false;
}

test('compilePattern agrees with RegExp on random expressions and texts', () => {
  const random = seededRandom(21, 22, 23, 24);
  const characters = Array.from('abc1-./_\xe9\n😀');
  const seen = { looks: 0, matches: 0, others: 0 };
  for (let round = 0; round < 3_000; round++) {
    const source = randomSource({ random, depth: 2, looks: 'looks' });
    const ours = compilePattern(source);
    assert.ok(ours.ok, `${source}: ${JSON.stringify(ours)}`);
    const theirs = new RegExp(source, 'uy');
    if (/\(\?<?[=!]/.test(source)) seen.looks++;
    for (let k = 0; k < 20; k++) {
      const length = random.bits32() % 7;
      const text = Array.from({ length }, () => characters[random.bits32() % characters.length]).join('');
      const want = isIn(theirs, text);
      seen[want ? 'matches' : 'others']++;
      assert.equal(ours.test(text), want, `/${source}/ on ${JSON.stringify(text)}`);
    }
  }
  assert.ok(Math.min(seen.looks * 20, seen.matches, seen.others) > 10_000, JSON.stringify(seen));
});

// What takes exponential or high polynomial time where ways are tried one after another.
for (const source of ['^(?=(a+)+$)b', '^((?!(a|a)*b)a)+$.', '(?<=(a*)*b)c', '^(?=.*(.*)*x)']) {
  test(`compilePattern: ${source} takes linear time`, () => {
    const pattern = compilePattern(source);
    assert.ok(pattern.ok);
    const cpuMsOf = (length: number): number => {
      const text = 'a'.repeat(length);
      const start = process.cpuUsage();
      assert.equal(pattern.test(text), false);
      return process.cpuUsage(start).user / 1_000;
    };
    cpuMsOf(20_000);
    assert.ok(cpuMsOf(80_000) < 1_000, 'a quadratic way takes minutes');
  });
}

test('compilePattern: a text that would take too long with lookaround does not match', () => {
  const pattern = compilePattern('a(?=b)');
  assert.ok(pattern.ok);
  assert.equal(pattern.test(`${'x'.repeat(100_000)}ab`), true);
  assert.equal(pattern.test(`${'x'.repeat(REGEX_LOOK_WORK_MAX)}ab`), false);
});
