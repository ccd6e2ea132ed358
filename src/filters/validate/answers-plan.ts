/** What a document demands of the answers of one operation. All of it is made at once, so that what is wrong is known then. */
import type { ValidateFunction } from 'ajv';
import type { Headers } from '../../http/headers.ts';
import { entriesOf, isNode, type OpenApiDocument } from '../../openapi/document.ts';
import type { Operation } from '../../openapi/operations.ts';
import { decodeHeader, spellingOf } from '../../openapi/parameter.ts';
import { step, within } from '../../openapi/wrong.ts';
import { BodyChecks } from './body-checks.ts';
import type { MediaContext } from './media.ts';
import { type Issue, issuesOf } from './validators.ts';

interface CheckedHeader {
  readonly name: string;
  readonly required: boolean;
  readonly spelling: ReturnType<typeof spellingOf>;
  readonly validate: ValidateFunction | undefined;
}

/** The answers of one status, or of several. */
export class AnswerPlan {
  readonly body: BodyChecks;
  readonly #document: OpenApiDocument;
  readonly #headers: readonly CheckedHeader[];

  /** @throws {WrongPart} where the document is wrong */
  constructor(stated: unknown, pointer: string, context: MediaContext) {
    const { document, validators } = context;
    const node = within(pointer, () => document.resolved(stated));
    this.#document = document;
    this.body = new BodyChecks(node['content'], pointer, context);
    this.#headers = entriesOf(node['headers']).flatMap(([rawName, one]): CheckedHeader[] => {
      const name = rawName.toLowerCase();
      if (name === 'content-type') return [];
      return within(`${pointer}/headers${step(rawName)}`, () => {
        const header = document.resolved(one);
        const { schema } = header;
        return [
          {
            name,
            required: header['required'] === true,
            spelling: spellingOf(document, header, 'simple'),
            validate: isNode(schema) ? validators.of(schema) : undefined,
          },
        ];
      });
    });
  }

  /** The first mistake of its headers. */
  headerIssue(headers: Headers): Issue | undefined {
    for (const { name, required, spelling, validate } of this.#headers) {
      const decoded = decodeHeader(this.#document, spelling, headers.combined(name));
      if (decoded === undefined) {
        if (required) return { in: 'header', name, message: 'is required' };
      } else if ('bad' in decoded) return { in: 'header', name, message: decoded.bad };
      else if (validate !== undefined && validate(decoded.value) !== true) {
        return issuesOf(validate.errors, { in: 'header', name })[0];
      }
    }
    return undefined;
  }
}

export class AnswersPlan {
  /** By status, `2XX` or `DEFAULT`. */
  readonly #answers = new Map<string, AnswerPlan>();

  /** @throws {WrongPart} where the document is wrong */
  constructor(operation: Operation, context: MediaContext) {
    const { responses } = operation.node;
    if (!isNode(responses)) return;
    for (const [status, stated] of Object.entries(responses)) {
      if (status.startsWith('x-')) continue;
      const pointer = `${operation.pointer}/responses${step(status)}`;
      this.#answers.set(status.toUpperCase(), new AnswerPlan(stated, pointer, context));
    }
  }

  /** Undefined when the document has none. */
  of(status: number): AnswerPlan | undefined {
    const answers = this.#answers;
    return answers.get(String(status)) ?? answers.get(`${Math.floor(status / 100)}XX`) ?? answers.get('DEFAULT');
  }
}
