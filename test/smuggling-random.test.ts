/**
 * Whatever a request is made of, the backend reads exactly that, or nothing: random header lists, some of them broken in
 * one place, with random bodies, in all four pairings of wires. Every run is that of its seed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom } from '../src/base/random.ts';
import { attemptH1, proxyTo, type WireName, WIRES } from './client/pairing.ts';
import { attemptH2, data, END_STREAM, headers } from './client/raw-h2.ts';
import { record } from './client/recorder.ts';

const REQUESTS = 250;
const SEED = 20_260_101;

type Field = readonly [name: string, value: string];

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly Field[];
  readonly body: string;
  readonly trailers: readonly Field[];
  readonly hasLength: boolean;
  /** One thing in it may not pass. */
  readonly broken: boolean;
}

const TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
const VISIBLE = Array.from({ length: 0x5e }, (_, i) => String.fromCharCode(0x21 + i)).join('') + '\x80\xa0\xe9\xff';
const BAD_BYTES = '\0\x01\b\n\v\f\r\x1b\x7f';
/** Framing, routing, and what belongs to a connection: dropped, obeyed or refused, but never passed on. */
const SPECIAL = [
  'transfer-encoding',
  'content-length',
  'connection',
  'host',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'te',
  'http2-settings',
  'expect',
  ':path',
  ':authority',
  ':x',
];
const SPECIAL_VALUES = ['chunked', '0', '3', '+3', '5, 5', 'close', 'other.test', 'h2c', '/b', 'gzip', 'x'];

function pick(random: Random, from: string | readonly string[]): string {
  return from[Math.floor(random.unit() * from.length)]!;
}

function text(random: Random, alphabet: string, charsMax: number): string {
  return Array.from({ length: Math.floor(random.unit() * charsMax) }, () => pick(random, alphabet)).join('');
}

function valueOf(random: Random): string {
  const words = Array.from(
    { length: Math.floor(random.unit() * 4) },
    () => pick(random, VISIBLE) + text(random, VISIBLE, 40),
  );
  return words.join(pick(random, [' ', '\t', ', ', '  ']));
}

function fieldsOf(random: Random, countMax: number): Field[] {
  return Array.from({ length: Math.floor(random.unit() * countMax) }, () => [
    `x-${text(random, TOKEN, 20)}`,
    valueOf(random),
  ]);
}

/** One field of the list says what it must not. */
function broken(random: Random, fields: readonly Field[]): Field[] {
  const at = Math.floor(random.unit() * (fields.length + 1));
  const bad = pick(random, BAD_BYTES);
  const forms: readonly Field[] = [
    [`x${bad}y`, '1'],
    [`x${pick(random, ' \t(),/;<=>?@[]{}"\\')}y`, '1'],
    ['x', `1${bad}2`],
    ['x', `1${bad}transfer-encoding: chunked`],
    ['', '1'],
    [pick(random, SPECIAL), pick(random, SPECIAL_VALUES)],
    [`${pick(random, SPECIAL)} `, pick(random, SPECIAL_VALUES)],
  ];
  return fields.toSpliced(at, 0, forms[Math.floor(random.unit() * forms.length)]!);
}

function requestOf(random: Random, nth: number): Sent {
  const method = pick(random, ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'QUERY']);
  const body = random.unit() < 0.5 ? '' : text(random, VISIBLE + BAD_BYTES, 3_000);
  const hasLength = random.unit() < 0.5;
  const trailers = !hasLength && body !== '' && random.unit() < 0.3 ? fieldsOf(random, 4) : [];
  const fields = fieldsOf(random, 12);
  const isBroken = random.unit() < 0.4;
  const path = `/r/${nth}?${text(random, TOKEN.replace('#', ''), 30)}`;
  return {
    method,
    path,
    fields: isBroken ? broken(random, fields) : fields,
    body,
    trailers,
    hasLength,
    broken: isBroken,
  };
}

/** As the recorders write it; what is never passed on left out. */
function expected({ method, path, fields, body, trailers }: Sent): string {
  const lines = fields.filter(([name]) => !SPECIAL.includes(name)).map(([name, value]) => `${name}: ${value}`);
  const rest = trailers.map(([name, value]) => `+ ${name}: ${value}`);
  if (body !== '') rest.unshift(body);
  const head = [`${method} ${path} shop.test`, ...lines].join('\n');
  return rest.length === 0 ? head : `${head}\n\n${rest.join('\n')}`;
}

function asH1({ method, path, fields, body, trailers, hasLength }: Sent, random: Random): string {
  const line = ([name, value]: Field): string => `${random.unit() < 0.3 ? name.toUpperCase() : name}: ${value}\r\n`;
  const head = `${method} ${path} HTTP/1.1\r\nHost: shop.test\r\n${fields.map(line).join('')}`;
  if (body === '') return `${head}\r\n`;
  if (hasLength) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  const cut = Math.floor(random.unit() * body.length);
  const chunks = [body.slice(0, cut), body.slice(cut)].filter((piece) => piece !== '');
  const coded = chunks.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('');
  return `${head}Transfer-Encoding: chunked\r\n\r\n${coded}0\r\n${trailers.map(line).join('')}\r\n`;
}

function asH2({ method, path, fields, body, trailers, hasLength }: Sent, random: Random): Buffer[] {
  const length: Field[] = body !== '' && hasLength ? [['content-length', String(body.length)]] : [];
  const pseudos: Field[] = [
    [':method', method],
    [':scheme', 'http'],
    [':authority', 'shop.test'],
    [':path', path],
  ];
  const head = [...pseudos, ...fields, ...length];
  if (body === '') return [headers(1, head, END_STREAM)];
  const cut = Math.floor(random.unit() * body.length);
  const end = trailers.length === 0 ? END_STREAM : 0;
  const pieces = [headers(1, head), data(1, body.slice(0, cut)), data(1, body.slice(cut), end)];
  return end === 0 ? [...pieces, headers(1, trailers, END_STREAM)] : pieces;
}

async function send(client: WireName, port: number, sent: Sent, random: Random): Promise<string> {
  if (client === 'h2') return attemptH2(port, asH2(sent, random));
  const bytes = asH1(sent, random);
  // What is broken may promise a body that does not come.
  return attemptH1(port, sent.broken ? { unfinished: bytes } : bytes);
}

for (const client of WIRES) {
  for (const wire of WIRES) {
    test(`${REQUESTS} random requests, ${client} to ${wire}: the backend reads what was sent, or nothing`, async () => {
      await using upstream = await record(wire);
      await using proxy = await proxyTo({ wire, port: upstream.port });
      const random = seededRandom(SEED, 1, 2, 3);
      let refused = 0;
      let passed = 0;
      for (let i = 0; i < REQUESTS; i++) {
        const sent = requestOf(random, i);
        const answer = await send(client, proxy.port, sent, random);
        const next = await attemptH1(proxy.port, 'GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n');
        const seen = upstream.take().filter((request) => !request.endsWith('\ncut'));
        const why = `seed ${SEED}, request ${i}: ${JSON.stringify(sent)}, answered ${answer}`;
        assert.equal(next, '200', why);
        assert.equal(seen.pop(), 'GET /next shop.test', why);
        if (seen.length > 0) {
          // One that was read whole before its broken end is still what was sent.
          assert.deepEqual(seen, [expected(sent)], why);
          passed++;
        } else {
          assert.ok(sent.broken, why);
          assert.match(answer, /^(?:4\d\d|501) request\.|^closed$/, why);
          refused++;
        }
      }
      assert.ok(passed > REQUESTS / 2 && refused > REQUESTS / 8, `${passed} passed, ${refused} refused`);
    });
  }
}
