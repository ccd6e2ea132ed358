import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REGEX_CHARS_MAX, REGEX_DEPTH_MAX } from './limits.ts';
import { seededRandom } from './random.ts';
import { compileRegex } from './safe-regex.ts';
import { randomSource } from './testing/random-regex.ts';

const MATCHES: [rule: string, source: string, yes: string[], no: string[]][] = [
  ['the whole text must match', 'ab', ['ab'], ['', 'a', 'abc', 'xab']],
  ['the empty expression matches the empty text', '', [''], ['a']],
  ['anchors at both ends change nothing', '^/a$', ['/a'], ['/a/', '']],
  ['an anchor inside can never hold', 'a^b|c$d', [], ['ab', 'cd', 'a^b']],
  ['a dot takes anything but the end of a line', 'a.c', ['abc', 'a/c', 'a\xffc'], ['ac', 'a\nc', 'a\rc']],
  ['(?s) lets a dot take line ends', '(?s)a.c', ['a\nc'], ['ac']],
  ['alternatives, also empty ones', 'a|b|', ['a', 'b', ''], ['ab']],
  ['groups of all spellings', '(a)(?:b)(?<x>c)(?P<y>d)', ['abcd'], ['abc']],
  ['repeats', 'a*b+c?', ['b', 'aabb', 'abc'], ['', 'a', 'abcc']],
  ['counted repeats', 'a{2}b{1,2}c{2,}', ['aabcc', 'aabbcccc'], ['abcc', 'aabbbcc', 'aabbc']],
  ['lazy repeats take the same texts', 'a+?b*?c??', ['a', 'aab', 'abc'], ['', 'b']],
  ['a brace that is no count is a character', 'a{b}{,2}', ['a{b}{,2}'], ['a', 'ab']],
  ['classes', '[a-c_][^a-c]', ['bz', '_/'], ['zz', 'bb', 'b']],
  ['a hyphen at the end of a class is itself', '[a-]+', ['a-a'], ['b']],
  ['a bracket in a class is itself', '[[]a', ['[a'], ['a']],
  ['classes by letter', '\\d\\D\\w\\W\\s\\S', ['1a_- x'], ['aa_- x', '1a-- x']],
  ['classes by letter in brackets', '[\\d.]+[^\\s]', ['1.2x'], ['1.2 ', 'x']],
  ['classes by POSIX name', '[[:alpha:]][[:^digit:]-]', ['a-', 'aB'], ['1-', 'a1']],
  ['escapes of punctuation', '\\.\\/\\-\\[\\]\\{\\}\\(\\)\\*\\+\\?\\|\\^\\$\\\\', ['./-[]{}()*+?|^$\\'], ['']],
  ['escapes by number', '\\x41\\u0042\\x{43}', ['ABC'], ['abc']],
  ['escapes of control characters', '\\t\\n\\r', ['\t\n\r'], ['tnr']],
  ['case is ignored where asked', '(?i)aB[c-d]', ['abc', 'ABD'], ['abe']],
  ['case is ignored within a group only', '(?i:a)b', ['Ab', 'ab'], ['AB']],
  ['a flag holds to the end of its group', '((?i)a)b', ['Ab'], ['aB']],
  ['a flag can be switched off', '(?i)a(?-i)b', ['Ab'], ['AB']],
  ['negated classes ignore case too', '(?i)[^a]', ['b'], ['a', 'A']],
  ['case beyond ASCII is kept apart', '(?i)\xe9', ['\xe9'], ['\xc9']],
  ['word boundaries', '.*\\bcat\\b.*', ['cat', 'a cat.', 'x-cat'], ['cats', 'tomcat']],
  ['places within a word', 'a\\Bb', ['ab'], []],
  ['a boundary at both ends', '\\b\\b-?a-?\\b', ['a'], ['-a', 'a-', '']],
  ['loops over the empty text end', '(a*)*(b|c*)*', ['', 'aabca'.slice(0, 4)], ['d']],
  ['characters beyond latin1', '\\u4e00.', ['\u4e00\u4e01'], ['\u4e01\u4e00']],
  ['RE2 and PCRE spellings of both ends', '\\Aab\\z', ['ab'], ['abc']],
];

for (const [rule, source, yes, no] of MATCHES) {
  test(`compileRegex: ${rule}`, () => {
    const regex = compileRegex(source);
    assert.ok(regex.ok, JSON.stringify(regex));
    for (const text of yes) assert.equal(regex.test(text), true, `${source} should take ${JSON.stringify(text)}`);
    for (const text of no) assert.equal(regex.test(text), false, `${source} should not take ${JSON.stringify(text)}`);
  });
}

const REFUSALS: [rule: string, source: string, message: RegExp, offset: number][] = [
  ['lookahead', 'a(?=b)', /Lookaround.*"\(\?="/, 1],
  ['negative lookahead', '(?!b)a', /Lookaround.*"\(\?!"/, 0],
  ['lookbehind', 'a(?<=b)', /Lookaround.*"\(\?<="/, 1],
  ['negative lookbehind', 'a(?<!b)', /Lookaround.*"\(\?<!"/, 1],
  ['backreference', '(a)\\1', /Backreferences.*"\\1"/, 3],
  ['named backreference', '(?<x>a)\\k<x>', /Backreferences/, 7],
  ['atomic group', '(?>a)', /Atomic/, 0],
  ['comment', 'a(?#b)', /Comments/, 1],
  ['recursion', '(?R)', /Flag "R" is not supported/, 0],
  ['unknown flag', '(?m)a', /Flag "m"/, 0],
  ['unknown group', '(?|a)', /Group is not supported/, 0],
  ['possessive quantifier', 'a*+', /Possessive/, 2],
  ['quantifier on nothing', '*a', /Nothing to repeat before "\*"/, 0],
  ['quantifier at the start of a group', 'a(+)', /Nothing to repeat/, 2],
  ['quantifier on an anchor', 'a^*', /Nothing to repeat/, 2],
  ['quantifier on a quantifier', 'x{1000}{1000}', /Quantifier follows/, 7],
  ['counts the wrong way round', 'ab{3,1}', /wrong way round/, 2],
  ['a count that is too large', 'a{1001}', /too large.*1000/, 1],
  ['an expansion that is too large', 'a(x{1000}){1000}', /more than 4096 steps/, 3],
  ['an expansion of an expansion', '((a{30}){30}){30}', /more than 4096 steps/, 3],
  ['an open group', 'a(b', /Unmatched "\("/, 1],
  ['a closed group that was not open', 'ab)', /Unmatched "\)"/, 2],
  ['an open class', 'a[b-', /Unmatched "\["/, 1],
  ['an empty class', 'a[]b]', /Class is empty/, 2],
  ['a negated empty class', '[^]', /Class is empty/, 2],
  ['a range the wrong way round', '[z-a]', /wrong way round/, 1],
  ['a range from a set', '[\\d-z]', /Range needs a character/, 1],
  ['an unknown POSIX class', '[[:foo:]]', /"\[:foo:\]" is not known/, 1],
  ['a Unicode class', '\\p{L}', /Unicode classes/, 0],
  ['an unknown escape', 'a\\y', /Escape is not known: "\\y"/, 1],
  ['a quotation', '\\Qa.b\\E', /Escape is not known: "\\Q"/, 0],
  ['a backslash at the end', 'a\\', /ends with a backslash/, 1],
  ['a long expression', 'a'.repeat(REGEX_CHARS_MAX + 1), /too long/, REGEX_CHARS_MAX],
  ['deep nesting', '('.repeat(REGEX_DEPTH_MAX + 1), /nested too deep/, REGEX_DEPTH_MAX],
];

for (const [rule, source, message, offset] of REFUSALS) {
  test(`compileRegex refuses: ${rule}`, () => {
    const refused = compileRegex(source);
    assert.ok(!refused.ok);
    assert.match(refused.message, message);
    assert.equal(refused.offset, offset);
    assert.doesNotMatch(refused.message, /\.$/);
  });
}

const PREFIXES: [source: string, prefix: string][] = [
  ['/users/[0-9]+', '/users/'],
  ['^/a\\.b(/c|/d)', '/a.b'],
  ['/a(/b)x?', '/a/b'],
  ['(?i)/users/.*', '/'],
  ['.*', ''],
  ['a|ab', ''],
  ['abc', 'abc'],
];

for (const [source, prefix] of PREFIXES) {
  test(`compileRegex: texts that match ${source} start with "${prefix}"`, () => {
    const regex = compileRegex(source);
    assert.equal(regex.ok && regex.literalPrefix, prefix);
  });
}

test('compileRegex agrees with RegExp on random expressions and texts', () => {
  const random = seededRandom(1, 2, 3, 4);
  let taken = 0;
  for (let round = 0; round < 3_000; round++) {
    // Deeper ones keep RegExp busy for a minute on eight characters.
    const source = randomSource({ random, depth: 2, looks: 'no-looks' });
    const ours = compileRegex(source);
    assert.ok(ours.ok, `${source}: ${JSON.stringify(ours)}`);
    const theirs = new RegExp(`^(?:${source})$`);
    for (let k = 0; k < 30; k++) {
      const text = Array.from({ length: random.bits32() % 7 }, () => 'abc1-./_\xe9\n'[random.bits32() % 10]).join('');
      const want = theirs.test(text);
      taken += Number(want);
      assert.equal(ours.test(text), want, `/${source}/ on ${JSON.stringify(text)}`);
      if (want) assert.ok(text.startsWith(ours.literalPrefix), `/${source}/ starts "${ours.literalPrefix}"`);
    }
  }
  assert.ok(taken > 5_000, `only ${taken} texts matched: the test looks at too little`);
});

test('compileRegex never throws on random text as an expression', () => {
  const random = seededRandom(5, 6, 7, 8);
  const signs = '()[]{}*+?|\\^$.-,:=!<>aPib1sd0';
  for (let round = 0; round < 20_000; round++) {
    const source = Array.from({ length: random.bits32() % 12 }, () => signs[random.bits32() % signs.length]).join('');
    const regex = compileRegex(source);
    if (regex.ok) regex.test('ab1-(');
    else assert.ok(regex.offset >= 0 && regex.offset <= source.length, `${source}: offset ${regex.offset}`);
  }
});

// Expressions that take exponential or high polynomial time where ways are tried one after another.
const BACKTRACKERS = [
  '(a+)+b',
  '(a|a)*b',
  '(a|aa)+b',
  '([a-z]+)*[0-9]',
  '(.*)*x',
  '(a*)*(a*)*(a*)*b',
  '^(([a-z])+.)+[A-Z]([a-z])+$',
  '(x+x+)+y',
  '(.*a){20}b',
  '(a?){50}a{50}b',
  '([a-zA-Z0-9_.-]+)+@([a-zA-Z0-9.-]+)+\\.com',
];

for (const source of BACKTRACKERS) {
  test(`compileRegex: ${source} takes linear time`, () => {
    const regex = compileRegex(source);
    assert.ok(regex.ok);
    const text = 'a'.repeat(50_000);
    regex.test(text);
    const start = performance.now();
    assert.equal(regex.test(text), false);
    const tookMs = performance.now() - start;
    assert.ok(tookMs < 250, `took ${tookMs} ms`);
  });
}

test('compileRegex: an expression with more states than fit still answers right', () => {
  const regex = compileRegex('[ab]*a[ab]{15}');
  assert.ok(regex.ok);
  const theirs = /^[ab]*a[ab]{15}$/;
  const random = seededRandom(9, 10, 11, 12);
  for (let round = 0; round < 20; round++) {
    const text = Array.from({ length: 5_000 }, () => 'ab'[random.bits32() & 1]).join('');
    assert.equal(regex.test(text), theirs.test(text));
  }
});
