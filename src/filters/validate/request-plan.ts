/** What a document demands of the requests of one operation. All of it is made at once, so that what is wrong is known then. */
import type { ValidateFunction } from 'ajv';
import type { Headers } from '../../http/headers.ts';
import type { RequestHead } from '../../http/message.ts';
import { isNode, type OpenApiDocument } from '../../openapi/document.ts';
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
} from '../../openapi/parameter.ts';
import { within } from '../../openapi/wrong.ts';
import { BodyChecks } from './body-checks.ts';
import type { MediaContext } from './media.ts';
import { type Issue, issuesOf } from './validators.ts';

interface CheckedParameter {
  readonly parameter: Parameter;
  readonly validate: ValidateFunction | undefined;
}

export interface RequestIssues {
  readonly issues: Issue[];
  /** Query parameters that the operation lacks. */
  readonly unknownQuery: readonly string[];
}

export class RequestPlan {
  readonly bodyRequired: boolean;
  readonly body: BodyChecks;
  readonly #document: OpenApiDocument;
  readonly #names: readonly string[];
  readonly #parameters: readonly CheckedParameter[];
  readonly #readsCookies: boolean;

  /** @throws {WrongPart} where the document is wrong */
  constructor(operation: Operation, context: MediaContext) {
    const { document, validators } = context;
    this.#document = document;
    this.#names = operation.names;
    this.#parameters = parametersOf(document, operation).map(({ pointer, ...parameter }) => {
      const { schema } = parameter;
      return { parameter, validate: isNode(schema) ? within(pointer, () => validators.of(schema)) : undefined };
    });
    this.#readsCookies = this.#parameters.some(({ parameter }) => parameter.in === 'cookie');
    const pointer = `${operation.pointer}/requestBody`;
    const body = within(pointer, () => document.resolved(operation.node['requestBody']));
    this.bodyRequired = body['required'] === true;
    this.body = new BodyChecks(body['content'], pointer, context);
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
    const document = this.#document;
    const { name } = parameter;
    switch (parameter.in) {
      case 'path': {
        const part = raw.parts[this.#names.indexOf(name)];
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
}

interface RawParts {
  readonly headers: Headers;
  readonly parts: readonly string[];
  readonly pairs: RawPairs;
  readonly cookies: RawPairs;
  readonly seen: Set<string>;
}
