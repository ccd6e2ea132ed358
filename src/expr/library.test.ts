/**
 * Our evaluation against that of the library, which reads and checks for us:
 * random expressions over one request come to the same, and have no value where
 * the library throws.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom } from '../base/random.ts';
import { identityOf } from '../filter/identity.ts';
import { makeExchange } from '../filter/testing/exchange.ts';
import { compileExpression } from './expression.ts';
import { REQUEST } from './vocabulary.ts';

const HEADERS = { a: 'ab', b: 'GET', 'x-y': '' };
const CLAIMS = { n: 2, s: 'ab', t: true, l: ['a', 'ab', 'x'], m: { k: 'v', n: 1 }, nil: null };
const SCOPES = ['a', 'ab', ''];

const X = makeExchange({
  method: 'GET',
  url: 'http://a.test/ab/c?q=a',
  headers: HEADERS,
  rule: 'ab',
  identity: identityOf({ method: 'jwt', subject: 'a', scopes: SCOPES, claims: CLAIMS }),
});

/** The same request for the library, as plain values. */
const CONTEXT = {
  request: { method: 'GET', path: '/ab/c', host: 'a.test', scheme: 'http', headers: HEADERS, query: { q: 'a' } },
  identity: { subject: 'a', scopes: SCOPES, claims: CLAIMS },
  rule: 'ab',
};

/** Writes expressions of a type, to a depth. Variables of loops are texts. */
class Writer {
  readonly #random: Random;
  readonly #claims: readonly string[];
  #variables: string[] = [];

  constructor(random: Random, claims: readonly string[]) {
    this.#random = random;
    this.#claims = claims;
  }

  bool(depth: number): string {
    if (depth === 0)
      return this.#pick(
        'true',
        'false',
        'has(request.headers.a)',
        'has(identity.claims.zz)',
        '("a" in request.headers)',
      );
    const d = depth - 1;
    const of = this.#chance() ? () => this.#text(d) : () => this.#int(d);
    return this.#any(
      () => `(${of()} ${this.#pick('==', '!=', '<', '<=', '>', '>=')} ${of()})`,
      () => `(${this.bool(d)} ${this.#pick('&&', '||', '==', '!=')} ${this.bool(d)})`,
      () => `!${this.bool(d)}`,
      () => `(${this.bool(d)} ? ${this.bool(d)} : ${this.bool(d)})`,
      () => `${this.#text(d)}.${this.#pick('contains', 'startsWith', 'endsWith')}(${this.#text(d)})`,
      () => `${this.#text(d)}.matches("${this.#pick('a', '^a', 'b$', '^(a|ab)$', '[a-c]+', '')}")`,
      () => `(${this.#text(d)} in ${this.#list(d)})`,
      () => `(${this.#list(d)} ${this.#pick('==', '!=')} ${this.#list(d)})`,
      () => this.#loop(this.#pick('all', 'exists', 'exists_one'), d),
      () => `(${this.#pick('"a"', '"zz"', '"k"')} in {"a": ${this.#text(d)}, "k": ${this.#text(d)}})`,
    );
  }

  #text(depth: number): string {
    const simple = ['""', '"a"', '"ab"', '"GET"', 'request.method', 'request.path', 'request.query.q', 'rule'];
    const headers = ['request.headers["a"]', 'request.headers.b', 'request.headers["none"]'];
    if (depth === 0) return this.#pick(...simple, ...headers, ...this.#variables, ...this.#claims);
    const d = depth - 1;
    return this.#any(
      () => this.#text(0),
      () => `(${this.#text(d)} + ${this.#text(d)})`,
      () => `(${this.bool(d)} ? ${this.#text(d)} : ${this.#text(d)})`,
      () => `${this.#text(d)}.${this.#pick('lowerAscii', 'upperAscii', 'trim')}()`,
      () => `${this.#list(d)}.join(${this.#text(d)})`,
      () => `string(${this.#int(d)})`,
      () => `${this.#text(d)}.substring(${this.#int(d)})`,
      () => `${this.#text(d)}.substring(${this.#int(d)}, ${this.#int(d)})`,
      () => `${this.#list(d)}[${this.#int(d)}]`,
      () => `request.headers["" + ${this.#text(d)}]`,
      () => `cel.bind(v${depth}, ${this.#text(d)}, v${depth} + v${depth})`,
    );
  }

  #int(depth: number): string {
    if (depth === 0) return this.#pick('0', '1', '2', '-1', '9223372036854775807');
    const d = depth - 1;
    return this.#any(
      () => this.#int(0),
      () => `size(${this.#chance() ? this.#text(d) : this.#list(d)})`,
      () => `(${this.#int(d)} ${this.#pick('+', '-', '*', '/', '%')} ${this.#int(d)})`,
      () => `${this.#text(d)}.${this.#pick('indexOf', 'lastIndexOf')}(${this.#text(d)})`,
      // Not of any text: the library reads an empty one as 0.
      () => `int("${this.#pick('12', '-7', 'x', '1.5')}")`,
      () => `(${this.bool(d)} ? ${this.#int(d)} : ${this.#int(d)})`,
    );
  }

  #list(depth: number): string {
    if (depth === 0) return this.#pick('["a"]', '["ab", "a"]', 'identity.scopes');
    const d = depth - 1;
    return this.#any(
      () => this.#list(0),
      () => `[${this.#text(d)}, ${this.#text(d)}]`,
      () => `(${this.#list(d)} + ${this.#list(d)})`,
      () => `${this.#text(d)}.split(${this.#text(d)})`,
      () => this.#loop('filter', d),
    );
  }

  #loop(name: string, depth: number): string {
    const over = this.#list(depth);
    const variable = `w${this.#variables.length}`;
    this.#variables.push(variable);
    const test = this.bool(depth);
    this.#variables.pop();
    return `${over}.${name}(${variable}, ${test})`;
  }

  #pick(...texts: readonly string[]): string {
    return texts[this.#random.bits32() % texts.length]!;
  }

  #any(...ways: readonly (() => string)[]): string {
    return ways[this.#random.bits32() % ways.length]!();
  }

  #chance(): boolean {
    return this.#random.unit() < 0.5;
  }
}

/** What the library says; `undefined` where it throws, `invalid` where it takes types for different that are dynamic. */
function theirs(source: string): unknown {
  const parsed = REQUEST.environment.parse(source);
  if (!parsed.check().valid) return 'invalid';
  try {
    return parsed(CONTEXT) as unknown;
  } catch {
    return undefined;
  }
}

function compare(seed: number, claims: readonly string[], onThrow: (source: string, ours: unknown) => void): void {
  const writer = new Writer(seededRandom(seed, 2, 3, 4), claims);
  const seen = { true: 0, false: 0, undefined: 0 };
  for (let round = 0; round < 3_000; round++) {
    const source = writer.bool(1 + (round % 4));
    if (source.length > 2_000) continue;
    const want = theirs(source);
    if (want === 'invalid') {
      assert.notEqual(claims.length, 0, source);
      continue;
    }
    const got = compileExpression(source, 'bool')(X);
    seen[String(want) as keyof typeof seen]++;
    if (want === undefined) onThrow(source, got);
    else assert.equal(got, want, source);
  }
  assert.ok(Math.min(...Object.values(seen)) > 200, `one-sided: ${JSON.stringify(seen)}`);
}

test('expression: comes to what the library says', () => {
  compare(1, [], (source, got) => assert.equal(got, undefined, source));
});

// With claims, whose types are only known now, the library throws where values of two types are compared.
test('expression: comes to what the library says of claims, where it says something', () => {
  const claims = [
    'identity.claims.s',
    'identity.claims.n',
    'identity.claims.l',
    'identity.claims.m.k',
    'identity.claims.none',
  ];
  compare(5, claims, () => undefined);
});
