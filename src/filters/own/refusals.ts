/** Kinds of faults of what filters of users refuse. */
import type { FaultKind } from '../../base/fault.ts';
import { GRPC_CODES } from '../../base/grpc-codes.ts';
import type { OwnRefusal } from '../../filter/own.ts';

/** Codes are labels of metrics: a filter that makes one of each request must not make a series of each. */
const KINDS_MAX = 64;

/** What a status means where the request was a call of gRPC. */
const GRPC_OF_STATUS: Readonly<Record<number, number>> = {
  400: GRPC_CODES.INVALID_ARGUMENT,
  401: GRPC_CODES.UNAUTHENTICATED,
  403: GRPC_CODES.PERMISSION_DENIED,
  404: GRPC_CODES.NOT_FOUND,
  409: GRPC_CODES.ABORTED,
  413: GRPC_CODES.RESOURCE_EXHAUSTED,
  429: GRPC_CODES.RESOURCE_EXHAUSTED,
  501: GRPC_CODES.UNIMPLEMENTED,
  503: GRPC_CODES.UNAVAILABLE,
  504: GRPC_CODES.DEADLINE_EXCEEDED,
};

export class Refusals {
  readonly #kinds = new Map<string, FaultKind>();

  kindOf(filter: string, { status, code, title }: OwnRefusal): FaultKind {
    const key = `${filter} ${status} ${code} ${title}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const isRoom = this.#kinds.size < KINDS_MAX;
    const kind: FaultKind = {
      code: `own.${filter}.${isRoom ? code : 'other'}`,
      blame: status < 500 ? 'client' : 'policy',
      retry: 'never',
      status,
      grpc: GRPC_OF_STATUS[status] ?? (status < 500 ? GRPC_CODES.FAILED_PRECONDITION : GRPC_CODES.INTERNAL),
      title,
      advice: 'A filter of your own refused the request.',
    };
    if (isRoom) this.#kinds.set(key, kind);
    return kind;
  }
}
