/** The answers that a document describes, each made at the first request for it. */
import type { Reply } from '../../filter/filter.ts';
import { FORBIDDEN_FIELDS } from '../../filter/fields.ts';
import { entriesOf, isNode, type Node, type OpenApiDocument } from '../../openapi/document.ts';
import { type Found, type Operation, OperationTable } from '../../openapi/operations.ts';
import { typesOf } from '../../openapi/schema.ts';
import { sampleOf } from './sample.ts';
import { acceptedOf, type Preference } from './wishes.ts';

/** Answers that are kept of one operation: by status, type and example. */
const KEPT_MAX = 64;

export interface Wishes extends Preference {
  readonly accept: string | undefined;
}

export type Mocked = Reply | 'no-answer' | 'not-acceptable';

interface Chosen {
  readonly status: number;
  readonly node: Node;
  readonly isByCode: boolean;
}

interface Media {
  readonly type: string;
  readonly node: Node;
}

export class MockedApi {
  readonly #document: OpenApiDocument;
  readonly #tables = new Map<string | undefined, OperationTable>();
  readonly #kept = new WeakMap<Operation, Map<string, Reply>>();

  /** @throws {Error} when two operations take the same requests */
  constructor(document: OpenApiDocument) {
    this.#document = document;
    this.find(undefined, { method: 'GET', path: '/' }); // what is wrong with its paths is said now
  }

  find(basePath: string | undefined, { method, path }: { readonly method: string; readonly path: string }): Found {
    let table = this.#tables.get(basePath);
    if (table === undefined) this.#tables.set(basePath, (table = new OperationTable(this.#document, basePath)));
    return table.find(method, path);
  }

  /** @throws {Error} on a reference that leads nowhere */
  answer(operation: Operation, { code, example, accept }: Wishes): Mocked {
    const chosen = this.#choose(operation.node['responses'], code);
    if (chosen === undefined) return 'no-answer';
    const offered = entriesOf(chosen.node['content']).flatMap(([range, node]): Media[] => {
      const type = typeOf(range);
      return type === undefined ? [] : [{ type, node }];
    });
    const media = acceptedOf(offered, accept);
    if (media === undefined && offered.length > 0) return 'not-acceptable';
    const examples = media?.node['examples'];
    const name = example !== undefined && isNode(examples) && Object.hasOwn(examples, example) ? example : undefined;
    const key = JSON.stringify([chosen.status, chosen.isByCode, media?.type, name]);
    let kept = this.#kept.get(operation);
    if (kept === undefined) this.#kept.set(operation, (kept = new Map<string, Reply>()));
    let reply = kept.get(key);
    if (reply === undefined) {
      reply = this.#make(chosen, media, name);
      if (kept.size >= KEPT_MAX) kept.clear();
      kept.set(key, reply);
    }
    return reply;
  }

  #choose(responses: unknown, code: number | undefined): Chosen | undefined {
    if (!isNode(responses)) return undefined;
    const keys = Object.keys(responses).filter((key) => /^(?:[2-5](?:\d\d|XX)|default)$/i.test(key));
    const at = (key: string, status: number, isByCode: boolean): Chosen => ({
      status,
      node: this.#document.resolved(responses[key]),
      isByCode,
    });
    if (code !== undefined) {
      const range = `${Math.floor(code / 100)}XX`;
      const key = [String(code), range, range.toLowerCase(), 'default'].find((one) => keys.includes(one));
      if (key !== undefined) return at(key, code, true);
    }
    // Numbers come first in objects, smallest first; then what was written first.
    const key = keys.find((one) => one.startsWith('2')) ?? keys.find((one) => one === 'default') ?? keys[0];
    return key === undefined ? undefined : at(key, key === 'default' ? 200 : Number(key.replace(/XX/i, '00')), false);
  }

  #make({ status, node, isByCode }: Chosen, media: Media | undefined, name: string | undefined): Reply {
    const hasBody = status !== 204 && status !== 205 && status !== 304;
    const body = media === undefined || !hasBody ? undefined : this.#body(media, name);
    const applied = [
      ...(isByCode ? [`code=${status}`] : []),
      ...(name === undefined ? [] : [`example=${quoted(name)}`]),
    ];
    return {
      kind: 'reply',
      status,
      reason: 'mock',
      headers: [
        ...(body === undefined ? [] : [['content-type', media!.type] as const]),
        ...this.#headers(node['headers']),
        ['vary', 'Accept, Prefer'],
        // RFC 7240 section 3. A name that no field can hold is not repeated.
        ...(applied.length === 0 ? [] : [['preference-applied', applied.join(', ')] as const]),
      ],
      body: body ?? '',
    };
  }

  #body({ type, node }: Media, name: string | undefined): string | undefined {
    const examples = entriesOf(node['examples']);
    const [, stated] = examples.find(([one]) => one === name) ?? [];
    if (stated === undefined && node['example'] !== undefined) return this.#text(type, node, node['example']);
    const example = this.#document.resolved(stated ?? examples[0]?.[1]);
    if (typeof example['serializedValue'] === 'string') return example['serializedValue'];
    const value = example['value'] ?? example['dataValue'] ?? sampleOf(this.#document, node['schema']);
    return value === undefined ? undefined : this.#text(type, node, value);
  }

  #text(type: string, { schema }: Node, value: unknown): string {
    if (typeof value !== 'string') return JSON.stringify(value);
    if (!/[/+]json(?:;|$)/i.test(type)) return value;
    // Many write the JSON of an object as a text.
    const types = typesOf(this.#document, schema);
    return types.size > 0 && !types.has('string') && isJson(value) ? value : JSON.stringify(value);
  }

  #headers(stated: unknown): (readonly [string, string])[] {
    return entriesOf(stated).flatMap(([name, one]) => {
      const header = this.#document.resolved(one);
      const [example] = entriesOf(header['examples']).map(([, node]) => this.#document.resolved(node)['value']);
      const value = header['example'] ?? example ?? sampleOf(this.#document, header['schema']);
      return linesOf(name, value);
    });
  }
}

/** As the style `simple` spells it; Set-Cookie has a line for each item. What no field can hold is left out. */
function linesOf(name: string, value: unknown): (readonly [string, string])[] {
  const lower = name.toLowerCase();
  if (FORBIDDEN_FIELDS.has(lower) || lower === 'content-type' || !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(lower)) return [];
  const items = Array.isArray(value) ? (value as unknown[]) : [value];
  const texts = items.filter((one) => ['string', 'number', 'boolean'].includes(typeof one)).map(String);
  if (texts.length === 0 || texts.some((text) => !/^[\t\x20-\x7e\x80-\xff]*$/.test(text))) return [];
  return lower === 'set-cookie' ? texts.map((text) => [name, text.trim()]) : [[name, texts.join(', ').trim()]];
}

/** A range as one of its types; undefined where nobody knows which. */
function typeOf(range: string): string | undefined {
  if (!/^[\x20-\x7e]+$/.test(range)) return undefined;
  const type = range.trim();
  if (!type.includes('*')) return type;
  return { '*/*': 'application/json', 'application/*': 'application/json', 'text/*': 'text/plain' }[type];
}

function quoted(name: string): string {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)
    ? name
    : `"${name.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?')}"`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
