/** Answers that are written in a policy, as the document that says the same. */
import { OpenApiDocument } from '../../openapi/document.ts';
import type { MockConfig } from './config.ts';

type Responses = NonNullable<MockConfig['responses']>;
type Entry = Record<string, { responses: Record<string, object> }>;

export function documentOf(responses: Responses): OpenApiDocument {
  const paths = new Map<string, Entry>();
  for (const one of responses) {
    const path = paths.get(one.path) ?? {};
    paths.set(one.path, path);
    const operation = (path[one.method.toLowerCase()] ??= { responses: {} });
    operation.responses[String(one.status)] = { headers: headersOf(one), content: contentOf(one) };
  }
  return new OpenApiDocument({ openapi: '3.1.0', paths: Object.fromEntries(paths) });
}

function headersOf({ headers }: Responses[number]): object {
  const values = new Map<string, string[]>();
  for (const { name, value } of headers) {
    const lower = name.toLowerCase();
    values.set(lower, [...(values.get(lower) ?? []), value]);
  }
  return Object.fromEntries([...values].map(([name, example]) => [name, { example }]));
}

function contentOf({ body, example, contentType }: Responses[number]): object {
  if (body !== undefined) {
    return { [contentType ?? 'text/plain; charset=utf-8']: { examples: { body: { serializedValue: body } } } };
  }
  return example === undefined ? {} : { [contentType ?? 'application/json']: { example } };
}
