/** A document as large as the largest that people have: read, looked up in flat time, and held to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { type Filter, WHOLE_BODY } from '../../filter/filter.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { readDocument } from '../../openapi/document.ts';
import { OperationTable } from '../../openapi/operations.ts';
import { check } from '../../schema/schema.ts';
import { ValidateConfig } from './config.ts';
import { code } from './filter.ts';

const MATCH = { matchedPath: '/' };
const OPERATIONS = 5_000;

/** Two operations a path, each with parameters of its own and shared ones, and a body that refers to shared schemas. */
function documentOf(operations: number): string {
  const paths: Record<string, object> = {};
  const schemas: Record<string, object> = {
    Id: { type: 'integer', minimum: 1 },
    Tag: { type: 'object', required: ['name'], properties: { name: { type: 'string', minLength: 1 } } },
  };
  for (let i = 0; i < operations / 2; i++) {
    schemas[`Item${i}`] = {
      type: 'object',
      required: ['size', 'tags'],
      properties: {
        // Different in each operation, so that none can be held to the schema of another.
        size: { type: 'integer', maximum: i },
        tags: { type: 'array', items: { $ref: '#/components/schemas/Tag' } },
        parent: { $ref: `#/components/schemas/Item${i}` },
      },
    };
    const body = { $ref: `#/components/schemas/Item${i}` };
    paths[`/group${i % 50}/things${i}/{id}`] = {
      parameters: [{ $ref: '#/components/parameters/Id' }],
      get: { parameters: [{ name: 'page', in: 'query', schema: { type: 'integer', maximum: i } }], responses: {} },
      put: { requestBody: { required: true, content: { 'application/json': { schema: body } } }, responses: {} },
    };
  }
  const parameters = { Id: { name: 'id', in: 'path', required: true, schema: { $ref: '#/components/schemas/Id' } } };
  return JSON.stringify({ openapi: '3.1.0', paths, components: { schemas, parameters } });
}

function tableOf(operations: number): OperationTable {
  return new OperationTable(readDocument(Buffer.from(documentOf(operations))), undefined);
}

/** Milliseconds of CPU for the same number of look-ups, over all of the paths; the best of the rounds. */
function cpuMsOf(table: OperationTable, operations: number): number {
  const indexes = Array.from({ length: 25 }, (_, i) => Math.floor((i * operations) / 50));
  const paths = indexes.map((i) => `/group${i % 50}/things${i}/7`);
  let best = Infinity;
  for (let round = 0; round < 7; round++) {
    const start = process.cpuUsage();
    for (let i = 0; i < 40_000; i++) table.find('GET', paths[i % paths.length]!);
    best = Math.min(best, process.cpuUsage(start).user / 1_000);
  }
  return best;
}

test('validate: 5,000 operations are looked up as fast as 50', () => {
  const [small, large] = [tableOf(50), tableOf(OPERATIONS)];
  assert.equal(small.operations.length, 50);
  assert.equal(large.operations.length, OPERATIONS);
  cpuMsOf(small, 50); // both are measured warm
  const ratio = cpuMsOf(large, OPERATIONS) / cpuMsOf(small, 50);
  assert.ok(ratio < 3, `${ratio.toFixed(2)} times as long`);
});

async function decide(filter: Filter, method: string, url: string, value?: unknown): Promise<string> {
  const body = value === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(value));
  const headers: Record<string, string> = value === undefined ? {} : { 'content-type': 'application/json' };
  const x = makeExchange({ method, url: `http://api.test${url}`, headers, bodyLength: body.length });
  const said = await filter.onRequest!(x, MATCH);
  const verdict = said === WHOLE_BODY ? await filter.onRequestBody!(x, body, 'whole') : said;
  return verdict instanceof Fault ? verdict.code : 'ok';
}

test('validate: of 5,000 operations each is held to what it says itself', async () => {
  const text = Buffer.from(documentOf(OPERATIONS));
  const config = { ...check(ValidateConfig, {}).value!, file: { file: '/large.json' } };
  const filter = code.make(config, makeEnv({ readFile: () => text }));
  const bad = 'validate.request-invalid';
  const tags = [{ name: 'a' }];
  for (const i of [0, 1, 49, 50, 777, 1_250, 2_499]) {
    const path = `/group${i % 50}/things${i}`;
    const rows: [method: string, url: string, value: unknown, want: string][] = [
      ['GET', `${path}/7?page=${i}`, undefined, 'ok'],
      ['GET', `${path}/7?page=${i + 1}`, undefined, bad],
      ['GET', `${path}/0`, undefined, bad],
      ['PUT', `${path}/7`, { size: i, tags, parent: { size: i, tags } }, 'ok'],
      ['PUT', `${path}/7`, { size: i + 1, tags }, bad],
      ['PUT', `${path}/7`, { size: i, tags: [{ name: '' }] }, bad],
      ['PUT', `${path}/7`, { size: i, tags, parent: { size: i } }, bad],
      ['DELETE', `${path}/7`, undefined, 'validate.unknown-method'],
      ['GET', `/group${(i + 1) % 50}/things${i}/7`, undefined, 'validate.unknown-path'],
    ];
    for (const [method, url, value, want] of rows) {
      assert.equal(await decide(filter, method, url, value), want, `${method} ${url} ${JSON.stringify(value)}`);
    }
  }
  filter.close!();
});
