/** A document, ready to be asked; what one worker has of it serves all rules that name it. */
import { type OpenApiDocument, readDocument } from '../../openapi/document.ts';
import { type Found, type Operation, OperationTable } from '../../openapi/operations.ts';
import { OperationPlan, type PlanContext } from './operation-plan.ts';
import { Validators } from './validators.ts';

interface Depth {
  readonly plans: WeakMap<Operation, OperationPlan>;
  readonly context: PlanContext;
}

export class Api {
  readonly document: OpenApiDocument;
  readonly #tables = new Map<string | undefined, OperationTable>();
  /** By the depth of bodies that a rule takes: rules of one document may differ in it. */
  readonly #depths = new Map<number, Depth>();
  readonly #validators: { readonly request: Validators; readonly answer: Validators };
  /** Patterns that are not checked. */
  readonly unchecked = new Set<string>();

  constructor(document: OpenApiDocument) {
    this.document = document;
    const note = (pattern: string): void => void (this.unchecked.size < 100 && this.unchecked.add(pattern));
    this.#validators = {
      request: new Validators(document, 'request', note),
      answer: new Validators(document, 'answer', note),
    };
    this.table(undefined); // what is wrong with its paths is said now
  }

  static *read(bytes: Buffer): Generator<undefined, Api> {
    const document = readDocument(bytes);
    yield undefined;
    return new Api(document);
  }

  table(basePath: string | undefined): OperationTable {
    let table = this.#tables.get(basePath);
    if (table === undefined) this.#tables.set(basePath, (table = new OperationTable(this.document, basePath)));
    return table;
  }

  find(basePath: string | undefined, { method, path }: { readonly method: string; readonly path: string }): Found {
    return this.table(basePath).find(method, path);
  }

  /** @throws {Error} on a schema that is not valid */
  planOf(operation: Operation, depthMax: number): OperationPlan {
    const { plans, context } = this.#depth(depthMax);
    let plan = plans.get(operation);
    if (plan === undefined) plans.set(operation, (plan = new OperationPlan(operation, context)));
    return plan;
  }

  #depth(depthMax: number): Depth {
    let depth = this.#depths.get(depthMax);
    if (depth !== undefined) return depth;
    const common = { document: this.document, bounds: { depthMax } };
    const context: PlanContext = {
      document: this.document,
      request: { ...common, validators: this.#validators.request },
      answer: { ...common, validators: this.#validators.answer },
    };
    depth = { plans: new WeakMap(), context };
    this.#depths.set(depthMax, depth);
    return depth;
  }
}
