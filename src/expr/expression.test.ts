import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { identityOf } from '../filter/identity.ts';
import { type ExchangeValues, makeExchange } from '../filter/testing/exchange.ts';
import { checkExpression, compileExpression, type Want } from './expression.ts';
import { FIELDS } from './vocabulary.ts';

const DER = Buffer.alloc(0);
const CERTIFICATE = { subject: 'CN=web,O=Shop', commonName: 'web', dns: ['web.test'], fingerprint: 'ab', der: DER };

const REQUEST: ExchangeValues = {
  method: 'GET',
  url: 'https://shop.test:8443/admin/users?role=admin&twice=a&twice=b&sp%61ce=a+b',
  headers: { 'X-Tier': 'gold', Accept: ['a', 'b'], Long: 'x'.repeat(200) },
  clientIp: '10.1.2.3',
  rule: 'shop/web/0',
  client: { peerIp: '127.0.0.1', clientCertificate: { ...CERTIFICATE, uri: ['spiffe://td/ns/a/sa/web'] } },
  identity: identityOf({
    method: 'jwt',
    subject: 'ann',
    issuer: 'https://id.test',
    scopes: ['read', 'write'],
    workload: 'spiffe://td/ns/a/sa/web',
    claims: JSON.parse(
      '{"level": 3, "ratio": 0.5, "roles": ["admin", "dev"], "org": {"id": "o1", "nil": null}, "__proto__": "own",' +
        '"mixed": [1, "two", true], "many": [1, 2, 3], "email_verified": true}',
    ) as Record<string, unknown>,
    consumer: { name: 'app', groups: ['gold', 'beta'], labels: { team: 'x' } },
  }),
};

const ROWS: readonly [rule: string, source: string, want: unknown][] = [
  ['a method compares', 'request.method == "GET"', true],
  ['a text on the left compares as well', '"GET" != request.method', false],
  ['the path has no query', 'request.path', '/admin/users'],
  ['the host has no port', 'request.host + ":" + request.scheme', 'shop.test:https'],
  ['an index with a literal is a field', 'request["method"]', 'GET'],
  ['a header is found by its lower-case name', 'request.headers["x-tier"] == "gold"', true],
  ['lines of one header are one text', 'request.headers.accept', 'a, b'],
  ['an absent header has no value', 'request.headers["x-none"] == "gold"', undefined],
  ['has() finds a header', 'has(request.headers.accept) && !has(request.headers.none)', true],
  ['in finds a header', '"x-tier" in request.headers && !("x-none" in request.headers)', true],
  ['headers can be gone through', 'request.headers.exists(name, name.startsWith("x-"))', true],
  ['a header by a computed name', 'request.headers["x-" + "tier"]', 'gold'],
  ['a parameter is decoded', 'request.query["space"]', 'a b'],
  ['a parameter that came twice has no value', 'request.query.twice == "a"', undefined],
  ['a parameter that came twice is there', 'has(request.query.twice) && "twice" in request.query', true],
  ['parameters can be counted', 'size(request.query)', 3],
  ['the address is in a network', 'source.address.inCidr("10.0.0.0/8")', true],
  ['one of several networks is enough', 'inCidr(source.address, ["192.168.0.0/16", "10.1.2.3"])', true],
  ['the peer is another one', 'source.peer.inCidr("10.0.0.0/8")', false],
  ['the certificate says who', 'client.spiffe.startsWith("spiffe://td/ns/a/")', true],
  ['the peer is a workload', 'source.identity == "spiffe://td/ns/a/sa/web"', true],
  ['of a namespace, with an account', 'source.namespace + "/" + source.account == "a/web"', true],
  ['of a trust domain', 'source.trustDomain == "td"', true],
  ['a list of the certificate', '"web.test" in client.dns', true],
  ['an absent fact has no value', 'client.serverName == ""', undefined],
  ['has() says so', 'has(client.serverName)', false],
  ['scopes are a list', '"write" in identity.scopes && !("admin" in identity.scopes)', true],
  ['a claim compares with an int', 'identity.claims.level >= 3', true],
  ['a claim equals across number types', 'identity.claims.level == 3 && identity.claims.level == 3.0', true],
  ['a claim of another type is not equal', 'identity.claims.level == "3"', false],
  ['a claim of another type is unequal', 'identity.claims.roles != "admin"', true],
  ['order between types has no value', 'identity.claims.roles > 3', undefined],
  ['an absent claim has no value', 'identity.claims.nothing == "x"', undefined],
  ['an absent claim is not', 'has(identity.claims.nothing)', false],
  ['has() below an absent claim has no value', 'has(identity.claims.nothing.more)', undefined],
  ['a claim below a claim', 'identity.claims.org.id', 'o1'],
  ['null is a value', 'identity.claims.org.nil == null && has(identity.claims.org.nil)', true],
  ['what every object has is no claim', 'has(identity.claims.constructor) || has(identity.claims.toString)', false],
  ['a claim may be called __proto__', 'identity.claims["__proto__"]', 'own'],
  ['a text has no fields of JavaScript', 'identity.claims.org.id.length', undefined],
  ['a list has no fields of JavaScript', 'identity.claims.roles["length"]', undefined],
  ['an optional with a default', 'identity.claims.?plan.orValue("free")', 'free'],
  ['an optional that is there', 'identity.claims.?org.id.orValue("none")', 'o1'],
  ['inside an optional all is optional', 'identity.claims.?none.id.orValue("none")', 'none'],
  ['an optional header', 'request.headers[?"x-none"].orValue("none")', 'none'],
  ['whether an optional is there', 'identity.claims.?plan.hasValue()', false],
  ['a list by its index', 'identity.claims.many[1]', 2],
  ['an index outside', 'identity.claims.many[3]', undefined],
  ['a negative index', 'identity.claims.many[-1]', undefined],
  ['labels of the consumer', 'consumer.labels.team == "x" && consumer.name == "app"', true],
  ['groups of the consumer', 'consumer.groups.exists(g, g in ["gold", "silver"])', true],
  ['the rule', 'rule', 'shop/web/0'],
  ['or decides with one side only', 'identity.claims.nothing == 1 || true', true],
  ['and decides with one side only', 'identity.claims.nothing == 1 && false', false],
  ['and has no value with half of it', 'identity.claims.nothing == 1 && true', undefined],
  ['not of no value has no value', '!(identity.claims.nothing == 1)', undefined],
  ['a choice', 'request.method == "GET" ? "read" : "write"', 'read'],
  ['a choice without a condition', 'identity.claims.nothing ? "a" : "b"', undefined],
  ['all', 'identity.claims.many.all(n, n > 0)', true],
  ['exists skips what has no value', 'identity.claims.mixed.exists(m, m > 0)', true],
  ['all has no value where one has none', 'identity.claims.mixed.all(m, m > 0)', undefined],
  ['all is false where one is', 'identity.claims.mixed.all(m, m > 1)', false],
  ['exists_one', 'identity.claims.many.exists_one(n, n == 2)', true],
  ['map', 'identity.claims.many.map(n, n * 2.0)', [2, 4, 6]],
  ['map with a filter', 'identity.claims.many.map(n, n > 1, n)', [2, 3]],
  ['filter', 'size(identity.claims.roles.filter(r, r != "dev"))', 1],
  ['loops nest', '["a", "b"].all(a, ["a", "b", "c"].exists(b, b == a))', true],
  ['a variable hides the fact of its name', '["x"].exists(request, request == "x")', true],
  ['bind', 'cel.bind(p, request.path, p.startsWith("/admin") && size(p) > 6)', true],
  ['list literals', '[1, 2] + [3] == [1, 2, 3]', true],
  ['maps equal by what they hold', '{"a": [1], "b": [2]} == {"b": [2], "a": [1]}', true],
  ['a key twice is an error', '{"a": 1, "a": 2}', undefined],
  ['in a map', '1 in {1: "x"}', true],
  ['ints divide as ints', '7 / 2 == 3 && -7 / 2 == -3 && 7 % 4 == 3', true],
  ['division by zero has no value', '1 / (size(rule) - size(rule)) == 1', undefined],
  ['an int that is too large has no value', '9223372036854775807 + 1', undefined],
  ['the smallest int has no opposite', '-(-9223372036854775807 - 1)', undefined],
  ['conversions', 'int("42") + int(1.9) == 43 && string(3) == "3" && double("1.5") == 1.5 && bool("true")', true],
  ['a number that is none', 'int("0x10")', undefined],
  ['texts', '"a,b".split(",") == ["a", "b"] && ["a", "b"].join("-") == "a-b" && "abc".substring(1, 2) == "b"', true],
  ['only ASCII changes its case', '"ÄA\u212a".lowerAscii() == "Äa\u212a" && "AbC".upperAscii() == "ABC"', true],
  ['size counts characters', 'size("a😀") == 2 && "a😀".size() == 2', true],
  [
    'trim, indexOf, lastIndexOf',
    '" a ".trim() == "a" && "abab".indexOf("b") == 1 && "abab".lastIndexOf("b") == 3',
    true,
  ],
  ['matches finds a part', 'request.path.matches("min/u")', true],
  ['matches with anchors', 'request.path.matches("^/admin/[a-z]+$") && !request.path.matches("^admin")', true],
  ['matches one of two', '"x".matches("a|x") && !"x".matches("^(a|b)$")', true],
  ['matches over lines', '"a\\nb".matches("b")', true],
  ['conversion of what is dynamic', 'dyn(request.method) == "GET"', true],
];

for (const [rule, source, want] of ROWS) {
  test(`expression: ${rule}: ${source}`, () => {
    assert.equal(checkExpression(source, 'any'), undefined);
    assert.deepEqual(compileExpression(source, 'any')(makeExchange(REQUEST)), want);
  });
}

test('expression: without an identity, nothing that names one has a value', () => {
  const x = makeExchange({});
  for (const source of [
    'identity.subject == ""',
    '"a" in identity.scopes',
    'consumer.name != "x"',
    'client.spiffe != "x"',
    'source.identity != "x"',
    'source.namespace != "x"',
  ]) {
    assert.equal(compileExpression(source, 'bool')(x), undefined, source);
  }
  assert.equal(
    compileExpression('has(identity.subject) || has(consumer.name) || has(client.spiffe)', 'bool')(x),
    false,
  );
});

test('expression: a certificate with two URIs says no SPIFFE ID', () => {
  const uri = ['spiffe://td/ns/a/sa/web', 'spiffe://td/ns/a/sa/root'];
  const x = makeExchange({ client: { clientCertificate: { ...CERTIFICATE, uri } } });
  assert.equal(compileExpression('has(client.spiffe) || has(source.identity)', 'bool')(x), false);
});

const WANTED: readonly [source: string, want: Want, value: unknown][] = [
  ['size(request.method)', 'int', 3],
  ['identity.claims.level', 'int', 3],
  ['identity.claims.ratio', 'int', undefined],
  ['identity.claims.roles', 'string', undefined],
  ['identity.claims.org.id', 'string', 'o1'],
  ['identity.claims.level', 'bool', undefined],
  ['identity.claims.email_verified', 'bool', true],
  ['9007199254740993', 'int', undefined],
];

for (const [source, want, value] of WANTED) {
  test(`expression: ${source} as ${want}`, () => {
    assert.equal(compileExpression(source, want)(makeExchange(REQUEST)), value);
  });
}

const REFUSED: readonly [rule: string, source: string, want: Want, message: RegExp][] = [
  ['syntax', 'request.method ==', 'bool', /Unexpected token: EOF \(at character 18\)/],
  [
    'an unknown variable',
    'user.name == "a"',
    'bool',
    /Unknown variable: user; known are request.*\(at character 1: user\)/,
  ],
  [
    'an unknown field',
    'request.verb == "a"',
    'bool',
    /No such key: verb; "request" has id, method.*\(at character 9: verb\)/,
  ],
  ['types that do not go together', 'request.method == 3', 'bool', /No such overload: string == int/],
  ['another type than is wanted', 'request.method', 'bool', /of type string: it should come to true or false/],
  ['a header name with capitals', 'request.headers["X-A"] == "1"', 'bool', /write "x-a" \(at character 1/],
  ['a whole variable', 'dyn(request) == null', 'bool', /"request" is no value by itself/],
  [
    'a function of the library that is not ours',
    'timestamp("2020-01-01T00:00:00Z") == timestamp(0)',
    'bool',
    /"timestamp" is not/,
  ],
  ['a type as a value', 'type(rule) == string', 'bool', /not offered/],
  ['an optional as a value', 'identity.claims.?role != "admin"', 'bool', /No such overload: optional/],
  ['an optional as a result', 'identity.claims.?role', 'any', /An optional is no value/],
  ['an optional in a choice', '(true ? rule : identity.claims.?a.b) == "x"', 'bool', /./],
  [
    'the value of an optional, which may not be there',
    'identity.claims.?role.value() == "a"',
    'bool',
    /"value" is not offered/,
  ],
  ['bytes', 'b"a" == b"a"', 'bool', /Bytes and unsigned/],
  ['a pattern that is no literal', 'request.path.matches(request.host)', 'bool', /takes a literal/],
  ['a pattern that is no pattern', 'request.path.matches("(a")', 'bool', /Pattern is not accepted: Unmatched "\("/],
  ['a pattern that only works inside another', 'request.path.matches("a)(b")', 'bool', /Pattern is not accepted/],
  ['a pattern that needs backtracking', 'request.path.matches("(a)\\\\1")', 'bool', /Pattern is not accepted/],
  ['a network that is none', 'source.address.inCidr("10.0.0.0/33")', 'bool', /"10.0.0.0\/33" is no network/],
  ['what is too long', `rule == "${'x'.repeat(5000)}"`, 'bool', /too long: 5010 characters, at most 4096/],
  ['what is too deep', `${'('.repeat(2000)}true${')'.repeat(2000)}`, 'bool', /depth|deep|nest/i],
];

for (const [rule, source, want, message] of REFUSED) {
  test(`expression: refuses ${rule}`, () => {
    assert.match(checkExpression(source, want) ?? 'accepted', message);
    assert.throws(() => compileExpression(source, want), /^Error: Cannot compile/);
  });
}

// A client chooses what is in its token and its headers; it must not choose how long a request takes.
const COSTLY: readonly [rule: string, source: string][] = [
  ['nested loops', 'identity.claims.long.all(a, identity.claims.long.all(b, a != b || true))'],
  ['a list in a loop', 'identity.claims.long.all(a, a in identity.claims.long)'],
  ['lists compared in a loop', 'identity.claims.long.all(a, identity.claims.long == identity.claims.long + [])'],
  ['a long text in a loop', 'identity.claims.long.all(a, identity.claims.text.contains("zz") || true)'],
  ['a pattern on a long text in a loop', 'identity.claims.long.all(a, identity.claims.text.matches("z$") || true)'],
  ['a text that doubles', 'cel.bind(t, identity.claims.text, t + t + t + t + t + t + t + t) == ""'],
  [
    'a list that doubles',
    'identity.claims.long + identity.claims.long + identity.claims.long + identity.claims.long == []',
  ],
  [
    'texts put together in a loop',
    'identity.claims.long.all(a, (identity.claims.text + identity.claims.text + a).endsWith("x") || true)',
  ],
  ['lists put together in a loop', 'identity.claims.long.all(a, identity.claims.long + [a] != [])'],
  ['the size of a map in a loop', 'identity.claims.long.all(a, size(identity.claims.map) > 0)'],
  ['the keys of a map in a loop', 'identity.claims.long.all(a, identity.claims.map.exists(k, true))'],
  ['maps of different sizes in a loop', 'identity.claims.long.all(a, identity.claims.map != identity.claims)'],
  ['a long query in a loop', 'identity.claims.long.all(a, request.query["z"] != a || true)'],
  ['names of a long query in a loop', 'identity.claims.long.all(a, !(a in request.query))'],
];

for (const [rule, source] of COSTLY) {
  test(`expression: has no value when it costs too much: ${rule}`, () => {
    const long = Array.from({ length: 5000 }, (_, i) => `n${i}`);
    const claims = { long, text: 'x'.repeat(60_000), map: Object.fromEntries(long.map((key) => [key, key])) };
    const evaluate = compileExpression(source, 'bool');
    const url = `http://shop.test/?${'a=b&'.repeat(2_000)}z=1`;
    const x = makeExchange({ url, identity: identityOf({ method: 'jwt', subject: 'a', claims }) });
    const start = process.cpuUsage();
    assert.equal(evaluate(x), undefined);
    assert.ok(process.cpuUsage(start).user < 500_000, 'took too long');
    assert.equal(evaluate(x), undefined, 'the second time, too');
  });
}

test('expression: claims that are nested without end have no value', () => {
  const claims = JSON.parse(
    `{"deep": ${'['.repeat(30_000)}${']'.repeat(30_000)}, "same": ${'['.repeat(30_000)}${']'.repeat(30_000)}}`,
  );
  const x = makeExchange({
    identity: identityOf({ method: 'jwt', subject: 'a', claims: claims as Record<string, unknown> }),
  });
  assert.equal(compileExpression('identity.claims.deep == identity.claims.same', 'bool')(x), undefined);
});

test('expression: the budget is for one evaluation, not for all', () => {
  const claims = { list: Array.from({ length: 9000 }, () => 'a') };
  const x = makeExchange({ identity: identityOf({ method: 'jwt', subject: 'a', claims }) });
  const evaluate = compileExpression('identity.claims.list.all(a, a == "a")', 'bool');
  for (let i = 0; i < 5; i++) assert.equal(evaluate(x), true);
});

test('expression: the guide names every variable', () => {
  const guide = readFileSync(new URL('../../docs/guide/expressions.md', import.meta.url), 'utf8');
  const named = [...guide.matchAll(/^\| `([\w.]+)`/gm)].map(([, name]) => name);
  const all = Object.entries(FIELDS).flatMap(([variable, fields]) =>
    Object.keys(fields).map((field) => `${variable}.${field}`),
  );
  assert.deepEqual(new Set(named), new Set([...all, 'rule']));
});
