/** The operations of a document, found by method and path. */
import { entriesOf, isNode, type Node, type OpenApiDocument } from './document.ts';
import { PathTree } from './path-tree.ts';
import { step, within } from './wrong.ts';

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;

export interface Operation {
  /** `GET /users/{id}`, as the document spells it. */
  readonly name: string;
  readonly method: string;
  readonly template: string;
  /** Names in the template, in their order. */
  readonly names: readonly string[];
  readonly node: Node;
  readonly pathItem: Node;
  /** JSON pointer of its path item; its own is `/get` behind that. */
  readonly pathPointer: string;
  readonly pointer: string;
}

/** All methods of one template. */
export interface Path {
  readonly template: string;
  readonly operations: Map<string, Operation>;
}

/** Value of Allow. */
export function allowOf({ operations }: Path): string {
  const allowed = [...operations.keys()];
  if (operations.has('GET') && !operations.has('HEAD')) allowed.push('HEAD');
  return allowed.join(', ');
}

export type Found =
  | { readonly kind: 'operation'; readonly operation: Operation; readonly parts: readonly string[] }
  | { readonly kind: 'method'; readonly path: Path }
  | { readonly kind: 'path' };

const NO_PATH: Found = { kind: 'path' };

export class OperationTable {
  /** In the order of the document. */
  readonly operations: readonly Operation[];
  readonly #tree = new PathTree<Path>();
  /** What paths of requests have before those of the document: without a slash at the end, the longest first. */
  readonly #prefixes: readonly string[];

  /**
   * @param basePath  instead of the paths of `servers`
   * @throws {WrongPart} when two operations take the same requests, or a path leads to nothing
   */
  constructor(document: OpenApiDocument, basePath: string | undefined) {
    this.#prefixes = basePath === undefined ? serverPaths(document.root) : [basePath.replace(/\/+$/, '')];
    const operations: Operation[] = [];
    for (const [template, item] of entriesOf(document.root['paths'])) {
      if (!template.startsWith('/')) continue;
      const pointer = `/paths${step(template)}`;
      within(pointer, () => {
        const path = pathOf(template, document.resolved(item), pointer);
        operations.push(...path.operations.values());
        const same = this.#tree.add(template, path);
        if (same !== undefined) merge(same, path);
      });
    }
    this.operations = operations;
  }

  find(method: string, path: string): Found {
    for (const prefix of this.#prefixes) {
      if (prefix !== '' && path !== prefix && !path.startsWith(`${prefix}/`)) continue;
      const match = this.#tree.find(path.slice(prefix.length) || '/');
      if (match === undefined) continue;
      const { operations } = match.value;
      // What is said of GET is true of HEAD (RFC 9110 section 9.3.2).
      const operation = operations.get(method) ?? (method === 'HEAD' ? operations.get('GET') : undefined);
      if (operation === undefined) return { kind: 'method', path: match.value };
      return { kind: 'operation', operation, parts: match.parts };
    }
    return NO_PATH;
  }
}

function pathOf(template: string, pathItem: Node, pathPointer: string): Path {
  const names = [...template.matchAll(/\{([^{}]*)\}/g)].map((found) => found[1]!);
  const operations = new Map<string, Operation>();
  for (const key of METHODS) {
    const node = pathItem[key];
    if (!isNode(node)) continue;
    const method = key.toUpperCase();
    operations.set(method, {
      name: `${method} ${template}`,
      method,
      template,
      names,
      node,
      pathItem,
      pathPointer,
      pointer: `${pathPointer}/${key}`,
    });
  }
  return { template, operations };
}

/** Documents name the same parts differently for different methods (GitHub's does), though they should not. */
function merge(into: Path, { operations }: Path): void {
  for (const [method, operation] of operations) {
    const same = into.operations.get(method);
    if (same !== undefined) throw new Error(`"${same.name}" and "${operation.name}" take the same requests`);
    into.operations.set(method, operation);
  }
}

/** Servers whose addresses have variables in their paths cannot be known beforehand, and are left out. */
function serverPaths(root: Node): string[] {
  const servers = Array.isArray(root['servers']) ? (root['servers'] as unknown[]) : [];
  const paths = new Set<string>();
  for (const server of servers) {
    const stated = isNode(server) ? server['url'] : undefined;
    const url = typeof stated === 'string' ? stated : '';
    const path = /^(?:[a-z][a-z0-9+.-]*:)?(?:\/\/[^/]*)?([^?#]*)/i.exec(url)![1]!;
    if (!path.includes('{')) paths.add(path.replace(/\/+$/, ''));
  }
  if (paths.size === 0) paths.add('');
  return [...paths].toSorted((a, b) => b.length - a.length);
}
