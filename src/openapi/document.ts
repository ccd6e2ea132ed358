/** OpenAPI documents, 3.0 and 3.1: read, and asked for their parts. References lead to other parts only, never elsewhere. */
import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';

export type Node = Readonly<Record<string, unknown>>;

/** GitHub's and Microsoft Graph's documents have ten and forty megabytes. */
export const DOCUMENT_BYTES_MAX = 64 * 1024 * 1024;

/** Aliases of YAML that one document may expand to. */
const ALIASES_MAX = 10_000;

/** References that may lead to references: a chain that is longer has no end. */
const CHAIN_MAX = 32;

const load = createRequire(import.meta.url);

/** A document of an operator. What it says wrongly is an `Error` with the place in it. */
export class OpenApiDocument {
  readonly root: Node;
  readonly version: '3.0' | '3.1';
  readonly #targets = new Map<string, unknown>();

  /** @throws {Error} when it is no OpenAPI document of a version that is known */
  constructor(root: unknown) {
    if (!isNode(root)) throw new Error('It is no OpenAPI document: it should be an object');
    const version = /^3\.[01](?=\.\d+)/.exec(String(root['openapi']))?.[0];
    if (version === undefined) throw new Error('It is no OpenAPI document: "openapi" should say 3.0.x or 3.1.x');
    this.root = root;
    this.version = version as '3.0' | '3.1';
  }

  /** What a JSON pointer in the form of a URI fragment leads to (RFC 6901 section 6). */
  at(reference: string): unknown {
    const known = this.#targets.get(reference);
    if (known !== undefined) return known;
    if (!reference.startsWith('#'))
      throw new Error(`Reference "${reference}" leads out of the document: put its target in`);
    let node: unknown = this.root;
    for (const part of reference.slice(1).split('/').slice(1)) {
      const key = keyOf(part);
      if (typeof node !== 'object' || node === null || !Object.hasOwn(node, key)) {
        throw new Error(`Reference "${reference}" leads to nothing`);
      }
      node = (node as Node)[key];
    }
    this.#targets.set(reference, node);
    return node;
  }

  /** The object itself, or the one that its `$ref` leads to. */
  resolved(node: unknown): Node {
    let found = node;
    for (let i = 0; i < CHAIN_MAX; i++) {
      if (!isNode(found)) return {};
      const reference = found['$ref'];
      if (typeof reference !== 'string') return found;
      found = this.at(reference);
    }
    throw new Error(`Reference "${String((node as Node)['$ref'])}" leads in a circle`);
  }
}

function keyOf(part: string): string {
  return decoded(part).replaceAll('~1', '/').replaceAll('~0', '~');
}

/** The JSON pointer of a reference to another part. */
export function pointerOf(reference: string): string {
  return decoded(reference.slice(1));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a "%" that stands for itself
  }
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Each property whose value is an object; nothing where `value` is none. */
export function entriesOf(value: unknown): [string, Node][] {
  return isNode(value) ? Object.entries(value).filter((entry): entry is [string, Node] => isNode(entry[1])) : [];
}

/**
 * Reads a document, JSON or YAML.
 *
 * @throws {Error} when it cannot be read
 */
export function readDocument(bytes: Buffer): OpenApiDocument {
  if (bytes.length > DOCUMENT_BYTES_MAX) {
    throw new Error(`It is too long: ${bytes.length} bytes, at most ${DOCUMENT_BYTES_MAX}`);
  }
  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  return new OpenApiDocument(/^\s*\{/.test(text) ? parseJson(text) : parseYaml(text));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`It is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function parseYaml(text: string): unknown {
  const { parseDocument } = load('yaml') as typeof Yaml;
  const document = parseDocument(text, { schema: 'core', prettyErrors: true, uniqueKeys: true });
  const [mistake] = document.errors;
  if (mistake !== undefined) throw new Error(`It is not YAML: ${mistake.message.split('\n', 1)[0]}`);
  return document.toJS({ maxAliasCount: ALIASES_MAX });
}
