/** The filter by itself: made of a configuration, and asked to decide on requests. */
import assert from 'node:assert/strict';
import { Fault } from '../../../base/fault.ts';
import { type Filter, WHOLE_BODY } from '../../../filter/filter.ts';
import { makeEnv, makeExchange, type TestEnv } from '../../../filter/testing/exchange.ts';
import { check } from '../../../schema/schema.ts';
import { ValidateConfig } from '../config.ts';
import { code, type ValidateFilter } from '../filter.ts';

export const MATCH = { matchedPath: '/' };

export function make(config: object, env: TestEnv = makeEnv()): ValidateFilter {
  const checked = check(ValidateConfig, config);
  assert.deepEqual(checked.issues, []);
  return code.make(checked.value!, env);
}

/** A request as a filter decides on it: `ok`, or the code of the fault and where its first mistake is. */
export async function decide(filter: Filter, method: string, url: string, sent: Sent = {}): Promise<string> {
  const body = Buffer.isBuffer(sent.body) ? sent.body : Buffer.from(sent.body ?? '');
  const headers = { ...(body.length > 0 && { 'content-type': 'application/json' }), ...sent.headers };
  const x = makeExchange({ method, url: `http://api.test${url}`, headers, bodyLength: body.length });
  let said = await filter.onRequest!(x, MATCH);
  if (said === WHOLE_BODY) said = (await filter.onRequestBody!(x, body, 'whole')) as unknown as typeof said;
  if (said === undefined) return 'ok';
  assert.ok(said instanceof Fault);
  const errors = said.extras?.members?.['errors'] as { in: string; name?: string; pointer?: string }[] | undefined;
  const first = errors?.[0];
  return first === undefined ? said.code : `${said.code} ${first.in} ${first.name ?? first.pointer ?? ''}`.trim();
}

export interface Sent {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Buffer;
}

export const param = (name: string, where: string, schema: object, more: object = {}): object => ({
  name,
  in: where,
  schema,
  ...more,
});

export const INT = { type: 'integer', minimum: 1 };
export const BAD = 'validate.request-invalid';
export const WRONG = 'validate.document-wrong';
/** What no validator takes. */
export const NO_TYPE = { type: 'strange' };
export const json = (schema: unknown): object => ({ content: { 'application/json': { schema } } });
