/** A document, ready to be asked; what one worker has of it serves all rules that name it. */
import type { Env } from '../../filter/env.ts';
import { type OpenApiDocument, readDocument } from '../../openapi/document.ts';
import { type Found, type Operation, OperationTable } from '../../openapi/operations.ts';
import { WrongPart } from '../../openapi/wrong.ts';
import { AnswersPlan } from './answers-plan.ts';
import { isJsonType, type MediaContext } from './media.ts';
import { Preparation } from './preparation.ts';
import type { UncheckedPatterns } from './config.ts';
import { RequestPlan } from './request-plan.ts';
import { Patterns, Validators } from './validators.ts';

export class Api {
  readonly document: OpenApiDocument;
  /** In the order of the document. */
  readonly operations: readonly Operation[];
  readonly requests: Plans<RequestPlan>;
  readonly answers: Plans<AnswersPlan>;
  readonly preparation: Preparation = new Preparation(this);
  readonly #tables = new Map<string | undefined, OperationTable>();
  /** Where the operator has been told what is wrong. As many as the document has operations, and twice that, at most. */
  readonly #told = new Set<string>();
  /** Patterns that are not checked, and that the operator is to be told of. */
  #unchecked: string[] = [];

  /**
   * @param unchecked  what becomes of patterns that cannot be checked
   * @throws {Error} when it is wrong as a whole
   */
  constructor(document: OpenApiDocument, unchecked: UncheckedPatterns) {
    this.document = document;
    const patterns = new Patterns(unchecked === 'pass' ? (source) => void this.#unchecked.push(source) : undefined);
    const ofRequests: MediaContext = {
      document,
      validators: new Validators(document, 'request', patterns),
      reads: () => true,
    };
    const ofAnswers: MediaContext = {
      document,
      validators: new Validators(document, 'answer', patterns),
      reads: isJsonType,
    };
    this.requests = new Plans((operation) => new RequestPlan(operation, ofRequests));
    this.answers = new Plans((operation) => new AnswersPlan(operation, ofAnswers));
    this.operations = this.#table(undefined).operations; // what is wrong with its paths is said now
  }

  static *read(bytes: Buffer, unchecked: UncheckedPatterns): Generator<undefined, Api> {
    const document = readDocument(bytes);
    yield undefined;
    return new Api(document, unchecked);
  }

  find(basePath: string | undefined, { method, path }: { readonly method: string; readonly path: string }): Found {
    return this.#table(basePath).find(method, path);
  }

  #table(basePath: string | undefined): OperationTable {
    let table = this.#tables.get(basePath);
    if (table === undefined) this.#tables.set(basePath, (table = new OperationTable(this.document, basePath)));
    return table;
  }

  /** Once for each part, whoever of the rules finds it. */
  tell(env: Env, { pointer, message }: WrongPart): void {
    const text = `The OpenAPI document is wrong at ${pointer}: ${message}`;
    // The same part may be wrong in both directions.
    if (this.#told.has(text)) return;
    this.#told.add(text);
    env.warn(text);
  }

  /** The same of patterns that have been met and are not checked. */
  tellUnchecked(env: Env): void {
    if (this.#unchecked.length === 0) return;
    for (const pattern of this.#unchecked) {
      env.count('unchecked_pattern');
      env.warn('A pattern of the OpenAPI document is not checked', { pattern });
    }
    this.#unchecked = [];
  }
}

/** What a document demands of its operations in one direction, or what is wrong there; made once. */
export class Plans<P extends object> {
  readonly #make: (operation: Operation) => P;
  /** By the name of the operation: tables of different base paths have the same ones. */
  readonly #made = new Map<string, P | WrongPart>();

  constructor(make: (operation: Operation) => P) {
    this.#make = make;
  }

  has({ name }: Operation): boolean {
    return this.#made.has(name);
  }

  of(operation: Operation): P | WrongPart {
    let made = this.#made.get(operation.name);
    if (made === undefined) this.#made.set(operation.name, (made = this.#try(operation)));
    return made;
  }

  #try(operation: Operation): P | WrongPart {
    try {
      return this.#make(operation);
    } catch (error) {
      if (error instanceof WrongPart) return error;
      throw error;
    }
  }
}
