/** What a document demands of one operation, made at its first request. */
import type { ValidateFunction } from 'ajv';
import type { Headers } from '../../http/headers.ts';
import type { RequestHead } from '../../http/message.ts';
import { entriesOf, isNode, type Node, type OpenApiDocument } from '../../openapi/document.ts';
import type { Operation } from '../../openapi/operations.ts';
import {
  cookiePairsOf,
  type Decoded,
  decodeHeader,
  decodeNamed,
  decodePathPart,
  type Parameter,
  parametersOf,
  pairsOf,
  type RawPairs,
  spellingOf,
} from '../../openapi/parameter.ts';
import { bodyCheckOf, type CheckBody, isJsonType, mediaOf, type MediaContext } from './media.ts';
import { type Issue, issuesOf } from './validators.ts';

export interface PlanContext {
  readonly document: OpenApiDocument;
  readonly request: MediaContext;
  readonly answer: MediaContext;
}

interface CheckedParameter {
  readonly parameter: Parameter;
  readonly validate: ValidateFunction | undefined;
}

export interface RequestIssues {
  readonly issues: Issue[];
  /** Query parameters that the operation lacks. */
  readonly unknownQuery: readonly string[];
}

/** Types whose checks are kept per operation and status. */
const TYPES_MAX = 32;

export class OperationPlan {
  readonly operation: Operation;
  readonly bodyRequired: boolean;
  readonly #context: PlanContext;
  readonly #parameters: readonly CheckedParameter[];
  readonly #requestContent: unknown;
  readonly #checks = new Map<string, CheckBody | undefined>();
  readonly #readsCookies: boolean;

  constructor(operation: Operation, context: PlanContext) {
    const { document, request } = context;
    this.operation = operation;
    this.#context = context;
    this.#parameters = parametersOf(document, operation).map((parameter) => ({
      parameter,
      validate: isNode(parameter.schema) ? request.validators.of(parameter.schema) : undefined,
    }));
    this.#readsCookies = this.#parameters.some(({ parameter }) => parameter.in === 'cookie');
    const body = document.resolved(operation.node['requestBody']);
    this.bodyRequired = body['required'] === true;
    this.#requestContent = body['content'];
  }

  /** Whether the operation says anything of request bodies. */
  get describesBody(): boolean {
    return this.#requestContent !== undefined;
  }

  get acceptedTypes(): string {
    return entriesOf(this.#requestContent)
      .map(([type]) => type)
      .join(', ');
  }

  checkParameters({ headers, query }: RequestHead, parts: readonly string[]): RequestIssues {
    const issues: Issue[] = [];
    const pairs = pairsOf(query.slice(1));
    if (pairs === undefined)
      return { issues: [{ in: 'query', message: 'is not percent-encoded UTF-8' }], unknownQuery: [] };
    const seen = new Set<string>();
    const cookies = this.#readsCookies ? cookiePairsOf(headers.getAll('cookie').join('; ')) : [];
    for (const { parameter, validate } of this.#parameters) {
      const { name, in: where, required } = parameter;
      const decoded = this.#decode(parameter, { headers, parts, pairs, cookies, seen });
      if (decoded === undefined) {
        if (required) issues.push({ in: where, name, message: 'is required' });
      } else if ('bad' in decoded) issues.push({ in: where, name, message: decoded.bad });
      else if (validate !== undefined && validate(decoded.value) !== true) {
        issues.push(...issuesOf(validate.errors, { in: where, name }));
      }
    }
    const unknownQuery = pairs.filter(([name]) => !seen.has(name)).map(([name]) => name);
    return { issues, unknownQuery };
  }

  #decode(parameter: Parameter, raw: RawParts): Decoded {
    const { document } = this.#context;
    const { name } = parameter;
    switch (parameter.in) {
      case 'path': {
        const part = raw.parts[this.operation.names.indexOf(name)];
        return part === undefined ? undefined : decodePathPart(document, parameter, part);
      }
      case 'query':
        return decodeNamed(document, parameter, { pairs: raw.pairs, seen: raw.seen });
      case 'cookie':
        return decodeNamed(document, parameter, { pairs: raw.cookies, seen: new Set() });
      case 'header':
        return decodeHeader(document, parameter, raw.headers.combined(name));
    }
  }

  /** `unknown`: the operation has no such type. `stream`: nothing of it is looked at. */
  requestBody(type: string): CheckBody | 'stream' | 'unknown' {
    return this.#check(`request ${type}`, { content: this.#requestContent, type, context: this.#context.request });
  }

  #check(
    key: string,
    asked: { content: unknown; type: string; context: MediaContext },
  ): CheckBody | 'stream' | 'unknown' {
    if (!this.#checks.has(key)) {
      const media = mediaOf(asked.content, asked.type);
      if (media === undefined) return 'unknown';
      if (this.#checks.size >= TYPES_MAX) this.#checks.clear();
      this.#checks.set(key, bodyCheckOf(asked.type, media, asked.context));
    }
    return this.#checks.get(key) ?? 'stream';
  }

  /** The answer that the document has for a status; undefined when it has none. */
  answerOf(status: number): AnswerPlan | undefined {
    const { responses } = this.operation.node as { readonly responses?: unknown };
    if (!isNode(responses)) return undefined;
    const range = `${Math.floor(status / 100)}XX`;
    for (const key of [String(status), range, range.toLowerCase(), 'default']) {
      if (!Object.hasOwn(responses, key)) continue;
      const node = this.#context.document.resolved(responses[key]);
      return { key, node, content: node['content'] };
    }
    return undefined;
  }

  answerHeaders({ node }: AnswerPlan, headers: Headers): Issue[] {
    const { document, answer } = this.#context;
    const issues: Issue[] = [];
    for (const [rawName, stated] of entriesOf(node['headers'])) {
      const name = rawName.toLowerCase();
      if (name === 'content-type') continue;
      const header = document.resolved(stated);
      const decoded = decodeHeader(document, spellingOf(document, header, 'simple'), headers.combined(name));
      if (decoded === undefined) {
        if (header['required'] === true) issues.push({ in: 'header', name, message: 'is required' });
      } else if ('bad' in decoded) issues.push({ in: 'header', name, message: decoded.bad });
      else if (isNode(header['schema'])) {
        const validate = answer.validators.of(header['schema']);
        if (validate(decoded.value) !== true) issues.push(...issuesOf(validate.errors, { in: 'header', name }));
      }
    }
    return issues;
  }

  answerBody({ key, content }: AnswerPlan, type: string): CheckBody | 'stream' | 'unknown' {
    if (!isJsonType(type)) return mediaOf(content, type) === undefined ? 'unknown' : 'stream';
    return this.#check(`${key} ${type}`, { content, type, context: this.#context.answer });
  }

  get requestContent(): unknown {
    return this.#requestContent;
  }
}

export interface AnswerPlan {
  readonly key: string;
  readonly node: Node;
  readonly content: unknown;
}

interface RawParts {
  readonly headers: Headers;
  readonly parts: readonly string[];
  readonly pairs: RawPairs;
  readonly cookies: RawPairs;
  readonly seen: Set<string>;
}
